import pytest

from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.core.recovery.barriers import Barrier
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.core.recovery.stored import Head
from mesaya_ws.core.state.entries import Entries
from mesaya_ws.core.state.interface import Changes
from mesaya_ws.statestore.inspection import inspect_state
from mesaya_ws.statestore.store import FILE, LmdbState
from tests.core.state.contract import publication

AT, OTHER = Partition("t", 0), Partition("t", 1)


def fill(directory, count=200):
    """Have a process keep so many publications in the directory; return its folder."""
    folder = directory / "0"
    store = LmdbState(folder)
    store.reopen()
    entries = [publication(n, n, frame=b"x" * 50) for n in range(1, count + 1)]
    head = Head(Cut({AT: PartitionPosition("id", count, None)}, 1, frozenset()), Barrier({}, {}))
    store.commit(Changes(head.value(), {"t": {"id": b"value"}}, entries=Entries.of(entries)))
    store.close()
    return folder


def test_what_a_store_holds_and_how_far_the_log_goes_on(tmp_path):
    folder = fill(tmp_path)
    (tmp_path / "1").mkdir()
    [found] = inspect_state(tmp_path)
    assert (found.path, found.trouble) == (folder, None)
    assert (found.size.entries, found.size.entities) == (200, 1)
    assert found.size.entry_bytes > 200 * 50
    assert found.size.oldest == publication(1, 1).timestamp
    assert found.lag({AT: 205, OTHER: 3}) == 8


def test_a_store_is_looked_at_while_it_is_written(tmp_path, run_python):
    folder = fill(tmp_path)
    store = LmdbState(folder)
    store.reopen()
    assert (
        run_python(
            "import sys; from pathlib import Path; from mesaya_ws.statestore.inspection import inspect_state;"
            "print(inspect_state(Path(sys.argv[1]))[0].size.entries)",
            tmp_path,
        )
        == "200"
    )
    store.close()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9])
def test_a_store_that_is_damaged_is_said_to_be_and_left_as_it_is(tmp_path, share):
    path = fill(tmp_path) / FILE
    whole = path.read_bytes()
    left = whole[: int(len(whole) * share)]
    path.write_bytes(left)
    [found] = inspect_state(tmp_path)
    assert found.size is None
    assert str(path) in found.trouble
    assert path.read_bytes() == left


def test_without_a_directory_there_is_nothing(tmp_path):
    assert inspect_state(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.fixture
def run_python():
    import subprocess
    import sys

    def run(code, *arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
        ).stdout.strip()

    return run
