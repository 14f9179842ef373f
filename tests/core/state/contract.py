"""What every state store promises: `class TestMemory(StateContract)`, with a fixture `new_store` that makes them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import Entries, StoredNote, StoredPair, StoredPublication
from mesaya_ws.core.state.interface import FORGOTTEN_AT_ONCE, Changes, WindowChanges

A, B = Partition("a", 0), Partition("b", 11)
CHANNEL, OTHER = "user:u:notifications", "user:u2:notifications"


def publication(serial, offset, partition=A, channel=CHANNEL, timestamp=0, frame=b"frame"):
    return StoredPublication(channel, serial, partition, offset, timestamp, frame)


def pair(serial, first, second, channel=CHANNEL):
    return StoredPair(channel, serial, A, first, B, second, 0)


def found(view, vector=None, max_bytes=1 << 30, channel=CHANNEL):
    return view.since(channel, vector or {}, max_bytes).publications


def serials(publications):
    return [each.serial for each in publications]


UNCONCERNED = [
    HealthCheck.function_scoped_fixture,  # every example has a new store
    HealthCheck.differing_executors,  # one class for each implementation
    HealthCheck.too_slow,
]


def window(first, *offsets, keep_from=0, anew=False, notes=None):
    """Return a commit of publications of such offsets to the copy of the window."""
    flat = [each for offset in offsets for each in (CHANNEL, A, offset, 7, b"frame %d" % offset)]
    return Changes(b"", window=WindowChanges(Entries(first, flat), keep_from, notes or {}, anew))


def windowed(view):
    """Return the publications of the copy of the window: their serials and offsets."""
    return [(each.serial, each.offset) for part in view.window() for each in part]


class StateContract:
    @pytest.fixture
    def store(self, new_store):
        return new_store()

    def test_an_empty_store_knows_nothing(self, store):
        with store.view() as view:
            assert view.head is None
            assert view.floors == {}
            assert view.last_serial == 0
            assert view.get("alive/table", "t") is None
            assert list(view.rows("alive/table")) == []
            assert found(view) == []
            assert view.size().entries == view.size().entities == 0
            assert view.size().oldest is None

    def test_what_is_committed_together_is_there_together(self, store):
        first = publication(1, 7)
        store.commit(Changes(b"head", {"alive/table": {"t": b"{}"}}, entries=Entries.of([first]), floors={A: 5}))
        with store.view() as view:
            assert view.head == b"head"
            assert view.get("alive/table", "t") == b"{}"
            assert found(view) == [first]
            assert view.floors == {A: 5}
            assert view.last_serial == 1

    def test_entities_are_replaced_and_deleted(self, store):
        store.commit(Changes(b"", {"t": {"1": b"one", "2": b"two"}, "u": {"3": b"three"}}))
        store.commit(Changes(b"", {"t": {"1": b"ONE", "2": None, "missing": None}}))
        with store.view() as view:
            assert list(view.rows("t")) == [("1", b"ONE")]
            assert list(view.rows("u")) == [("3", b"three")]
            assert view.get("t", "2") is None
            assert view.size().entities == 2
            assert list(view.tables()) == ["t", "u"]
        store.commit(Changes(b"", {"t": {"1": None}}))
        with store.view() as view:
            assert list(view.tables()) == ["u"]

    def test_rows_of_a_table_are_not_those_of_one_whose_name_goes_on(self, store):
        store.commit(Changes(b"", {"t": {"1": b"one"}, "table": {"1": b"other"}}))
        with store.view() as view:
            assert list(view.rows("t")) == [("1", b"one")]
            assert list(view.tables()) == ["t", "table"]

    def test_ids_of_a_table_come_in_pages(self, store):
        store.commit(Changes(b"", {"t": dict.fromkeys(("c", "a", "b"), b""), "u": {"d": b""}}))
        with store.view() as view:
            assert view.ids("t", None, 2) == ["a", "b"]
            assert view.ids("t", "b", 2) == ["c"]
            assert view.ids("t", "a b", 5) == ["b", "c"], "one that is not there"
            assert view.ids("t", "c", 5) == view.ids("s", None, 5) == []

    def test_what_is_emptied_begins_anew_and_nothing_else(self, store):
        members = {"of": {"p": {b"a": True, b"b": True}, "q": {b"c": True}}, "off": {"p": {b"d": True}}}
        store.commit(Changes(b"", {"t": {"1": b"", "2": b""}, "t2": {"3": b""}}, members))
        new = {"of": {"p": {b"e": True}}}
        store.commit(Changes(b"", {"t": {"4": b""}}, new, emptied=("t", "of")))
        with store.view() as view:
            assert view.ids("t", None, 9) == ["4"]
            assert view.ids("t2", None, 9) == ["3"]
            assert [list(view.members("of", parent)) for parent in "pq"] == [[b"e"], []]
            assert list(view.members("off", "p")) == [b"d"]

    def test_any_text_is_an_id(self, store):
        ids = ["", "é", "a\0b", "\0", "x" * 600, "x" * 601, "y" * 10_000]
        store.commit(Changes(b"", {"t": {id: id.encode() for id in ids}}))
        with store.view() as view:
            assert all(view.get("t", id) == id.encode() for id in ids)
            assert dict(view.rows("t")) == {id: id.encode() for id in ids}
            assert view.get("t", "x" * 602) is None
        store.commit(Changes(b"", {"t": dict.fromkeys(ids)}))
        with store.view() as view:
            assert not list(view.rows("t"))

    def test_members_are_sorted_and_leave(self, store):
        here = dict.fromkeys((b"c", b"a", b"b"), True)
        store.commit(Changes(b"", members={"of": {"p": here, "p2": {b"z": True}}, "off": {"p": {b"other": True}}}))
        with store.view() as view:
            assert list(view.parents("of")) == ["p", "p2"]
        moved = {"p": {b"b": False, b"d": True, b"a": True}, "q": {b"x": False}, "p2": {b"z": False}}
        store.commit(Changes(b"", members={"of": moved}))
        with store.view() as view:
            assert list(view.parents("of")) == ["p"]
            assert list(view.parents("of none")) == []
            assert list(view.members("of", "p")) == [b"a", b"c", b"d"]
            assert list(view.members("of", "p", b"b")) == [b"c", b"d"]
            assert list(view.members("of", "q")) == []

    def test_publications_after_a_place_come_by_serial_over_all_partitions(self, store):
        made = [publication(1, 10), publication(2, 3, B), publication(3, 11), publication(4, 4, B), publication(5, 20)]
        store.commit(Changes(b"", entries=Entries.of([*made, publication(6, 21, channel=OTHER)])))
        with store.view() as view:
            assert found(view) == made
            assert serials(found(view, {A: 11, B: 4})) == [3, 4, 5]
            assert serials(found(view, {A: 12})) == [2, 4, 5]
            assert found(view, {A: 21, B: 5}) == []
            assert view.count(CHANNEL, {}) == 5
            assert view.count(CHANNEL, {A: 11, B: 4}) == 3
            assert view.count(CHANNEL, {A: 21, B: 5}) == 0

    def test_a_page_has_at_most_its_bytes_but_one_publication(self, store):
        store.commit(Changes(b"", entries=Entries.of([publication(n, n, frame=b"x" * 40) for n in (1, 2, 3)])))
        with store.view() as view:
            assert [serials(found(view, max_bytes=most)) for most in (80, 1)] == [[1, 2], [1]]
            assert [view.since(CHANNEL, {}, most).is_last for most in (119, 120)] == [False, True]

    def test_the_latest_are_the_last_of_every_partition(self, store):
        store.commit(Changes(b"", entries=Entries.of([publication(n, n) for n in (1, 2, 3)] + [publication(4, 1, B)])))
        with store.view() as view:
            assert serials(view.latest(CHANNEL, 2)) == [2, 3, 4]
            assert view.latest(OTHER, 2) == []

    def test_what_is_too_old_is_forgotten_and_raises_the_floor(self, store):
        made = [publication(n, n * 10, timestamp=n) for n in (1, 2, 3)]
        store.commit(Changes(b"", entries=Entries.of(made)))
        store.commit(Changes(b"", keep_since=3))
        with store.view() as view:
            assert found(view) == [made[2]]
            assert view.floors == {A: 21}
            assert view.size().entries == 1
            assert view.size().oldest == 3
            assert view.last_serial == 3

    def test_the_oldest_are_forgotten_while_all_take_too_much(self, store):
        made = [publication(n, n, timestamp=9, frame=b"x" * 1000) for n in range(1, 101)]
        store.commit(Changes(b"", entries=Entries.of(made)))
        for _ in range(10):
            store.commit(Changes(b"", max_bytes=60_000))
        with store.view() as view:
            left = found(view)
            assert 20 < len(left) < 60
            assert left[-1] == made[-1]
            assert view.floors == {A: left[0].offset}
            assert view.size().entry_bytes <= 70_000

    def test_a_commit_forgets_only_so_many(self, store):
        store.commit(Changes(b"", entries=Entries.of([publication(n, n) for n in range(1, FORGOTTEN_AT_ONCE + 11)])))
        store.commit(Changes(b"", keep_since=1))
        with store.view() as view:
            assert view.size().entries == 10

    def test_floors_are_never_lowered(self, store):
        store.commit(Changes(b"", floors={A: 5, B: 1}))
        store.commit(Changes(b"", floors={A: 3, B: 2}))
        with store.view() as view:
            assert view.floors == {A: 5, B: 2}

    def test_pairs_are_those_that_a_position_may_lack(self, store):
        store.commit(Changes(b"", entries=Entries.of([pair(1, 10, 5), pair(2, 20, 8), pair(3, 30, 9, OTHER)])))
        with store.view() as view:
            [one] = view.pairs(CHANNEL, {A: 11})
            assert (one.first, one.first_offset, one.second, one.second_offset) == (A, 20, B, 8)
            assert list(view.pairs(CHANNEL, {A: 21})) == []

    def test_notes_are_of_their_channel_alone(self, store):
        first, second = StoredNote(CHANNEL, 1, 0, b"one"), StoredNote(CHANNEL, 3, 0, b"two")
        store.commit(Changes(b"", entries=Entries.of([first, StoredNote("", 2, 0, b"of all"), second])))
        with store.view() as view:
            assert list(view.notes(CHANNEL)) == [first, second]
            assert [note.value for note in view.notes("")] == [b"of all"]

    def test_pairs_and_notes_are_forgotten_with_their_time(self, store):
        store.commit(
            Changes(b"", entries=Entries.of([publication(1, 1), pair(2, 10, 5), StoredNote(CHANNEL, 3, 0, b"note")]))
        )
        store.commit(Changes(b"", keep_since=1))
        with store.view() as view:
            assert list(view.pairs(CHANNEL, {})) == list(view.notes(CHANNEL)) == []
            assert view.size().entries == 0

    def test_serials_that_do_not_increase_are_refused_and_nothing_is_committed(self, store):
        store.commit(Changes(b"before", entries=Entries.of([publication(2, 1)])))
        with pytest.raises(ValueError, match="serials"):
            store.commit(Changes(b"after", entries=Entries.of([publication(2, 2)])))

    def test_entries_begin_anew_without_the_entities(self, store):
        store.commit(
            Changes(b"", {"t": {"1": b"one"}}, {"of": {"p": {b"a": True}}}, Entries.of([publication(4, 1)]), {A: 9})
        )
        store.commit(Changes(b"new", {"t": {"2": b"two"}}, floors={B: 3}, anew=True))
        with store.view() as view:
            assert list(view.rows("t")) == [("1", b"one"), ("2", b"two")]
            assert list(view.members("of", "p")) == [b"a"]
            assert found(view) == []
            assert view.floors == {B: 3}
            assert view.last_serial == 0
        store.commit(Changes(b"new", entries=Entries.of([publication(1, 1)])))

    def test_the_copy_of_the_window_has_what_was_published_last(self, store):
        store.commit(window(1, 10, 11))
        store.commit(window(3, 12))
        with store.view() as view:
            [first, *_] = [each for part in view.window() for each in part]
            assert first == StoredPublication(CHANNEL, 1, A, 10, 7, b"frame 10")
            assert windowed(view) == [(1, 10), (2, 11), (3, 12)]
            assert view.size().window_bytes > 0
            assert view.size().entries == view.last_serial == 0, "it is none of the history"
        store.commit(window(4, 13, keep_from=3))
        with store.view() as view:
            assert windowed(view) == [(3, 12), (4, 13)]
        store.commit(window(5, keep_from=5))
        with store.view() as view:
            assert windowed(view) == []
        store.commit(window(5, 14))
        with store.view() as view:
            assert windowed(view) == [(5, 14)]
        with pytest.raises(ValueError, match="increase"):
            store.commit(window(5, 15))

    def test_the_copy_of_the_window_keeps_its_last_ones_whatever_else_is_forgotten(self, store):
        store.commit(window(1, *range(500)))
        store.commit(window(501, *range(500, 1000), keep_from=300))
        with store.view() as view:
            found = windowed(view)
            assert found[-701:] == [(serial, serial - 1) for serial in range(300, 1001)]
            whole = {tuple(serials(part)) for part in view.window()}
        store.commit(window(1001, keep_from=1000))
        with store.view() as view:
            assert {tuple(serials(part)) for part in view.window()} <= whole, "it is forgotten by the block"
            assert windowed(view)[-1] == (1000, 999)

    def test_notes_of_the_window_come_and_go_by_number(self, store):
        store.commit(window(1, notes={1: b"one", 2: b"two"}))
        store.commit(window(1, notes={1: None, 10: b"ten", 9: b"nine", 99: None}))
        with store.view() as view:
            assert list(view.window_notes()) == [(2, b"two"), (9, b"nine"), (10, b"ten")]

    def test_the_copy_of_the_window_begins_anew_without_the_rest(self, store):
        first = window(1, 5, notes={1: b""}).window
        store.commit(Changes(b"", {"t": {"1": b"one"}}, entries=Entries.of([publication(1, 7)]), window=first))
        store.commit(window(2, 6, notes={2: b"two"}, anew=True))
        with store.view() as view:
            assert windowed(view) == [(2, 6)]
            assert list(view.window_notes()) == [(2, b"two")]
            assert serials(found(view)) == [1]
            assert view.get("t", "1") == b"one"
        store.commit(Changes(b"", anew=True, entities_anew=True))
        with store.view() as view:
            assert windowed(view) == [(2, 6)]

    def test_entities_begin_anew_without_the_entries(self, store):
        store.commit(
            Changes(b"", {"t": {"1": b"one"}}, {"of": {"p": {b"a": True}}}, Entries.of([publication(4, 1)]), {A: 9})
        )
        store.commit(Changes(b"new", {"t": {"2": b"two"}}, {"of": {"p": {b"b": True}}}, entities_anew=True))
        with store.view() as view:
            assert list(view.rows("t")) == [("2", b"two")]
            assert list(view.members("of", "p")) == [b"b"]
            assert serials(found(view)) == [4]
            assert view.floors == {A: 9}

    @settings(suppress_health_check=UNCONCERNED, deadline=None, max_examples=50)
    @given(
        st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from([CHANNEL, OTHER])), max_size=30),
        st.integers(0, 15),
        st.integers(0, 15),
        st.integers(1, 3),
    )
    def test_pages_are_all_that_came_after_a_place_each_once(self, new_store, made, a, b, page):
        store = new_store()
        offsets = {A: 0, B: 0}
        entries = []
        for serial, (partition, channel) in enumerate(made, 1):
            offsets[partition] += 1
            entries.append(publication(serial, offsets[partition], partition, channel))
        store.commit(Changes(b"", entries=Entries.of(entries[:10])))
        store.commit(Changes(b"", entries=Entries.of(entries[10:])))
        vector = {A: a, B: b}
        expected = [each for each in entries if each.channel == CHANNEL and each.offset >= vector[each.partition]]
        paged = []
        with store.view() as view:
            assert view.count(CHANNEL, vector) == len(expected)
            is_last = False
            while not is_last:
                more, is_last = view.since(CHANNEL, vector, page * 5)
                paged += more
                vector |= {each.partition: each.offset + 1 for each in more}
        assert paged == expected
