import shutil
import subprocess
import sys

import pytest

from mesaya_ws.statestore.directory import MAX_STARTS, StateFolder, StateInUseError, note_ready, note_start

HOLD = """
import sys
from pathlib import Path
from mesaya_ws.statestore.directory import StateFolder
folder = StateFolder(Path(sys.argv[1]))
print(folder.take(), flush=True)
sys.stdin.read()
"""


def test_directory_in_use_is_refused_until_its_owner_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == str(tmp_path / "0")
        with pytest.raises(StateInUseError, match=rf"used by another process \({process.pid}\)"):
            StateFolder(tmp_path).take()
        process.kill()
        process.wait()
    folder = StateFolder(tmp_path)
    assert folder.take() == folder.take() == tmp_path / "0"
    folder.release()


def test_workers_take_a_folder_each_and_one_that_was_left_is_taken_again(tmp_path):
    first, second, third = (StateFolder(tmp_path, 2) for _ in range(3))
    assert [first.take().name, second.take().name] == ["0", "1"]
    with pytest.raises(StateInUseError):
        third.take()
    second.release()
    assert third.take().name == "1"
    first.release()
    third.release()


def test_a_folder_that_is_removed_is_taken_anew(tmp_path):
    folder, other = StateFolder(tmp_path), StateFolder(tmp_path)
    shutil.rmtree(folder.take())
    assert folder.take().exists()
    with pytest.raises(StateInUseError):
        other.take()
    folder.release()


def test_a_folder_that_another_process_has_made_anew_is_its_own(tmp_path):
    folder, other = StateFolder(tmp_path), StateFolder(tmp_path)
    shutil.rmtree(folder.take())
    other.take()
    with pytest.raises(StateInUseError):
        folder.take()
    other.release()
    assert folder.take().exists()
    folder.release()


def test_a_directory_that_cannot_be_created_is_an_os_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        StateFolder(tmp_path / "file").take()


def test_a_store_with_which_no_process_becomes_ready_is_used_only_so_often(tmp_path):
    assert [note_start(tmp_path) for _ in range(MAX_STARTS + 1)] == [True] * MAX_STARTS + [False]
    assert note_start(tmp_path)


def test_a_process_that_has_become_ready_counts_for_nothing(tmp_path):
    for _ in range(MAX_STARTS * 3):
        assert note_start(tmp_path)
        note_ready(tmp_path)
