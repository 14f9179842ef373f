import random
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import lmdb
import pytest

from mesaya_ws.core.state.entries import Entries, StoredPublication
from mesaya_ws.core.state.interface import Changes, CorruptStateError, StateError
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.statestore import layout
from mesaya_ws.statestore.store import FILE, LmdbState
from tests.core.state.contract import CHANNEL, OTHER, A, B, StateContract, pair, publication, window

ALL = 1 << 30


class TestLmdb(StateContract):
    @pytest.fixture
    def new_store(self, tmp_path):
        stores = []

        def new():
            stores.append(opened(Path(mkdtemp(dir=tmp_path))))
            return stores[-1]

        yield new
        for store in stores:
            store.close()


def opened(folder):
    store = LmdbState(folder)
    store.reopen()
    return store


@pytest.mark.parametrize("seed", range(8))
def test_a_store_that_forgets_commit_by_commit_answers_as_one_in_memory(tmp_path, seed):
    draw, on_disk, in_memory = random.Random(seed), opened(tmp_path), MemoryState()
    serial, offsets, time = 0, {A: 0, B: 0}, 0
    for _ in range(25):
        entries, first = [], serial + 1
        for _ in range(draw.choice((0, 1, 5, 150))):
            serial += 1
            time += draw.random() < 0.3
            partition, channel = draw.choice((A, B)), draw.choice((CHANNEL, OTHER))
            if draw.random() < 0.05:
                entries.append(pair(serial, serial, serial, channel)._replace(timestamp=time))
                continue
            offsets[partition] += draw.choice((1, 1, 3))
            frame = b"x" * draw.choice((10, 500, 3000))
            entries.append(publication(serial, offsets[partition], partition, channel, time, frame))
        entries.sort(key=lambda entry: not isinstance(entry, StoredPublication))
        entries = [entry._replace(serial=number) for number, entry in enumerate(entries, first)]
        changes = Changes(b"", entries=Entries.of(entries), keep_since=time - draw.randrange(100))
        for store in (on_disk, in_memory):
            store.commit(changes)
        with on_disk.view() as view:
            assert view.floors == in_memory.floors
            assert view.last_serial == in_memory.last_serial
            assert view.size().entries == in_memory.size().entries
            assert view.size().oldest == in_memory.size().oldest
            for channel in (CHANNEL, OTHER):
                vector = {at: draw.randrange(offset + 2) for at, offset in offsets.items()}
                assert view.count(channel, vector) == in_memory.count(channel, vector)
                assert view.latest(channel, 7) == in_memory.latest(channel, 7)
                for most in (5000, ALL):
                    assert view.since(channel, vector, most) == in_memory.since(channel, vector, most)
                assert [one.serial for one in view.pairs(channel, vector)] == [
                    one.serial for one in in_memory.pairs(channel, vector)
                ]
    on_disk.close()


def filled(folder, count=200):
    """Return the path of a store that was closed, and its publications."""
    store = opened(folder)
    entries = [publication(n, n, frame=b"%d" % n * 50) for n in range(1, count + 1)]
    store.commit(Changes(b"head", {"t": {str(n): b"value %d" % n for n in range(count)}}, entries=Entries.of(entries)))
    store.close()
    return folder / FILE, entries


def test_a_store_keeps_what_it_was_given(tmp_path):
    _, entries = filled(tmp_path)
    store = opened(tmp_path)
    assert store.set_aside is None
    with store.view() as view:
        assert view.since(CHANNEL, {}, ALL).publications == entries
        assert view.last_serial == len(entries)
    store.close()


@pytest.mark.parametrize("seed", range(12))
def test_a_store_that_was_truncated_is_set_aside_and_begins_anew(tmp_path, seed):
    path, _ = filled(tmp_path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(1, size))
    store = opened(tmp_path)
    assert FILE in store.set_aside
    assert (tmp_path / f"{FILE}.aside").exists()
    with store.view() as view:
        assert view.head is None
    store.commit(Changes(b"anew", {"t": {"1": b"1"}}))
    store.close()


def test_a_store_of_another_version_is_set_aside(tmp_path):
    path, _ = filled(tmp_path)
    env = lmdb.open(str(path), subdir=False, max_dbs=8)
    with env.begin(write=True, db=env.open_db(b"meta")) as txn:
        txn.put(b"format", b"mesaya-ws state 0")
    env.close()
    store = opened(tmp_path)
    assert "another version" in store.set_aside
    store.close()


def test_a_file_that_is_no_store_is_set_aside(tmp_path):
    (tmp_path / FILE).write_bytes(b"no store at all" * 1000)
    store = opened(tmp_path)
    assert FILE in store.set_aside
    store.close()


def test_an_empty_file_is_an_empty_store(tmp_path):
    (tmp_path / FILE).touch()
    store = opened(tmp_path)
    assert store.set_aside is None
    store.close()


def test_a_value_that_the_disk_has_changed_is_noticed(tmp_path):
    path, entries = filled(tmp_path)
    content = path.read_bytes()
    frame = entries[100].frame
    path.write_bytes(content.replace(frame, frame[:-1] + b"?"))
    store = opened(tmp_path)
    with pytest.raises(CorruptStateError), store.view() as view:
        view.since(CHANNEL, {}, ALL)
    store.close()


def test_a_copy_of_the_window_that_the_disk_has_changed_is_noticed(tmp_path):
    store = opened(tmp_path)
    store.commit(window(1, *range(100), notes={1: b'["a note"]'}))
    store.close()
    path = tmp_path / FILE
    content = path.read_bytes()
    for found, damaged in ((b"frame 77", b"frame 7?"), (b"a note", b"a n?te")):
        path.write_bytes(content.replace(found, damaged))
        store = opened(tmp_path)
        with pytest.raises(CorruptStateError), store.view() as view:
            assert [*view.window(), *view.window_notes()]
        store.close()


def test_a_store_whose_file_has_gone_says_so_and_is_created_again(tmp_path):
    path, _ = filled(tmp_path)
    store = opened(tmp_path)
    path.unlink()
    with pytest.raises(StateError, match="No such file"):
        store.commit(Changes(b"later"))
    store.reopen()
    with store.view() as view:
        assert view.head is None
    store.commit(Changes(b"later"))
    store.close()


def test_a_folder_that_cannot_be_written_is_an_error_that_ends_when_it_can(tmp_path):
    folder = tmp_path / "state"
    folder.write_bytes(b"a file where a folder should be")
    store = LmdbState(folder)
    with pytest.raises(StateError, match="cannot be used"):
        store.reopen()
    with pytest.raises(StateError, match="not open"):
        store.commit(Changes(b""))
    with pytest.raises(StateError, match="not open"), store.view():
        pass
    folder.unlink()
    store.reopen()
    store.commit(Changes(b"now"))
    store.close()


WRITE = """
import sys, resource, signal
from pathlib import Path
from mesaya_ws.core.state.entries import Entries
from mesaya_ws.core.state.interface import Changes, StateError
from mesaya_ws.statestore.store import LmdbState
from tests.core.state.contract import publication
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LmdbState(Path(sys.argv[1]))
store.reopen()
store.commit(Changes(b"head 0", {"t": {"0": b"0"}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
serial = 0
try:
    while True:
        serial += 1
        entries = Entries.of([publication(serial, serial, frame=b"x" * 20_000)])
        store.commit(Changes(b"head %d" % serial, {}, entries=Entries.of(entries)))
except StateError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.reopen()
with store.view() as view:
    assert view.head == b"head %d" % (serial - 1), view.head
    assert view.last_serial == serial - 1
store.commit(Changes(b"head", entries=Entries.of([publication(serial, serial, frame=b"x" * 20_000)])))
store.close()
"""


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_an_error_and_nothing_of_the_commit_is_there(tmp_path):
    ended = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"{tmp_path / FILE} cannot be used" in ended.stdout


def test_a_store_that_is_of_no_use_is_set_aside_with_the_reason(tmp_path):
    filled(tmp_path)
    store = opened(tmp_path)
    store.discard("The log is another one.")
    assert store.set_aside == "The log is another one."
    with store.view() as view:
        assert view.head is None
    store.close()


def test_a_name_that_is_too_long_for_a_key_is_refused():
    with pytest.raises(layout.KeyTooLongError):
        layout.joined("t", "x" * 511)


@pytest.mark.parametrize("longest", ["\ud800", "\u00e9", "x"])
def test_many_entities_have_the_keys_and_values_that_each_has_alone_in_the_order_of_their_keys(longest):
    room = layout.MAX_KEY - len("table") - 1
    ids = ["b", "a", "\U0001f600", "\uffff", "\u00e9", "\ud800", "", longest * room, longest * (room + 1), "x" * room]
    values = {id: None if number % 5 == 2 else b"%d" % number for number, id in enumerate(ids)}
    put_keys, put, gone = layout.entity_items("table", values)
    keys = {id: layout.entity_key("table", id) for id in values}
    assert dict(zip(put_keys, put, strict=True)) == {
        keys[id]: layout.entity_value(keys[id], id, value) for id, value in values.items() if value is not None
    }
    assert set(gone) == {keys[id] for id, value in values.items() if value is None}
    short = [key for key in put_keys if not key.startswith(b"table\0\xff")]
    assert short == sorted(short)
