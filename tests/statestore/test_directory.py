import subprocess
import sys

import pytest

from mesaya_ws.statestore.directory import MAX_STARTS, StateInUseError, note_ready, note_start, taken_folder

HOLD = """
import sys
from pathlib import Path
from mesaya_ws.statestore.directory import taken_folder
with taken_folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_second_process_in_the_same_directory_gets_a_sentence_and_the_place_when_the_first_was_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == str(tmp_path / "0")
        with (
            pytest.raises(StateInUseError, match=rf"used by another process \({process.pid}\)"),
            taken_folder(tmp_path),
        ):
            pass
        process.kill()
        process.wait()
    with taken_folder(tmp_path) as folder:
        assert folder == tmp_path / "0"


def test_workers_take_a_folder_each_and_one_that_was_left_is_taken_again(tmp_path):
    with taken_folder(tmp_path, 2) as first:
        with taken_folder(tmp_path, 2) as second:
            assert [first.name, second.name] == ["0", "1"]
            with pytest.raises(StateInUseError), taken_folder(tmp_path, 2):
                pass
        with taken_folder(tmp_path, 2) as third:
            assert third == second


def test_a_directory_that_cannot_be_created_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), taken_folder(tmp_path / "file"):
        pass


def test_a_store_with_which_no_process_becomes_ready_is_used_only_so_often(tmp_path):
    assert [note_start(tmp_path) for _ in range(MAX_STARTS + 1)] == [True] * MAX_STARTS + [False]
    assert note_start(tmp_path)


def test_a_process_that_has_become_ready_counts_for_nothing(tmp_path):
    for _ in range(MAX_STARTS * 3):
        assert note_start(tmp_path)
        note_ready(tmp_path)
