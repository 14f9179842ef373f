"""Rows of which those of the last commit are read from the store: as a dict would have them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.state.interface import Changes, CorruptStateError
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.state.stored import PAGE, Stored
from mesaya_ws.core.state.stored_rows import StoredRows
from mesaya_ws.core.state.tracking import Tracking


class Disk:
    """Rows, a store, and the follower that says what is to be committed."""

    def __init__(self, hot=0):
        self.tracking, self.stored, self.store = Tracking(), Stored(), MemoryState()
        self.follower = self.tracking.follow()
        self.rows = StoredRows(
            "t", self.stored, self.tracking.table("t"), lambda _, row: row[0], lambda value: [value], len, hot=hot
        )

    def begin(self):
        """Take what is to be committed; return what commits it."""
        self.rows.capture()
        taken = self.follower.take().get("t", {})

        def commit():
            values = {id: None if row is None else orjson.dumps(row) for id, row in taken.items()}
            self.store.commit(Changes(b"", {"t": values}))
            self.stored.view = self.store
            list(self.rows.committed())

        return commit


STEPS = st.one_of(
    st.tuples(st.sampled_from("abcd"), st.none() | st.sampled_from(["x", "yy", "zzz"])),
    st.sampled_from(["begin", "commit", "fail"]),
)


@given(st.lists(STEPS, max_size=40), st.integers(0, 2))
def test_rows_are_those_of_a_dict_whenever_they_are_committed(steps, hot):
    disk, known, commit = Disk(hot), {}, None
    for step in steps:
        match step:
            case "begin" if commit is None:
                commit = disk.begin()
            case "commit" if commit is not None:
                commit()
                commit = None
            case "fail" if commit is None:
                disk.rows.capture()
            case (id, value):
                disk.rows.put(id, value)
                known.pop(id, None)
                if value is not None:
                    known[id] = value
        assert {id: disk.rows.get(id) for id in "abcd"} == {id: known.get(id) for id in "abcd"}
        assert sorted(disk.rows.ids()) == sorted(known)
        assert sorted(disk.rows.rows()) == [("t", id, [known[id]]) for id in sorted(known)]
        assert len(disk.rows._hot) <= hot


@pytest.mark.parametrize("stored", [0, 1, PAGE + 1])
def test_all_rows_are_read_although_a_commit_ends_meanwhile(stored):
    disk = Disk()
    old, new = [f"m{number:03}" for number in range(stored)], ["a", "b", "m0", "z"]
    for ids in (old, new):
        for id in ids:
            disk.rows.put(id, id)
        commit = disk.begin()
        if ids is old:
            commit()
    reads = [disk.rows.ids(), (id for _, id, _ in disk.rows.rows())]
    found = [[next(read)] for read in reads]
    commit()
    for ids, read in zip(found, reads, strict=True):
        assert sorted([*ids, *read]) == sorted([*old, *new])


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.integers(0, 12))
def test_oldest_value_in_memory_is_the_one_that_changed_first(ids, captured):
    disk = Disk()
    for number, id in enumerate(ids):
        if number == captured:
            disk.rows.capture()
        disk.rows.put(id, str(number))
    last = {id: str(number) for number, id in enumerate(ids)}
    assert disk.rows.oldest() == min(last.values(), key=int, default=None)
    assert disk.rows.size >= sum(map(len, last.values()))


def test_memory_is_given_back_when_what_has_changed_is_committed():
    disk = Disk(hot=10)
    for number in range(5000):
        disk.rows.put(str(number), "x" * 100)
    assert disk.rows.size == 500_000
    disk.begin()()
    assert disk.rows.size == 0
    assert len(disk.rows._hot) == 10
    assert disk.rows.get("4321") == "x" * 100


def test_draft_changes_nothing_of_what_it_is_a_draft_of():
    disk = Disk()
    disk.rows.put("a", "x")
    draft = StoredRows("t", Stored(), Tracking().table("t"), None, None, len, under=disk.rows)
    draft.put("b", "y")
    draft.put("a", None)
    assert (draft.get("a"), draft.get("b")) == (None, "y")
    assert (disk.rows.get("a"), disk.rows.get("b")) == ("x", None)


def test_row_that_cannot_be_read_is_damage():
    disk = Disk()
    disk.stored.view, reported = disk.store, []
    disk.stored.on_damage = reported.append
    for value in (b"{", b"[]", b"1"):
        disk.store.commit(Changes(b"", {"t": {"a": value}}))
        with pytest.raises(CorruptStateError):
            disk.rows.get("a")
    assert len(reported) == 3, "so that the process can begin anew without them"
