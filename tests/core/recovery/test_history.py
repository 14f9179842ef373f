import pytest

from mesaya_ws.core.access.channels import kind_of, parse_channel
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.barriers import Barrier, Barriers
from mesaya_ws.core.recovery.history import RECORDS_BETWEEN, History, Retention
from mesaya_ws.core.recovery.notes import barrier_of, is_kept, moved_note, unpublished_note
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.state.entries import Entries, StoredNote, StoredPair, StoredPublication
from mesaya_ws.core.state.interface import CorruptStateError
from tests.support.instance import a_window

RESERVATIONS, PAYMENTS = Partition(topic_of("reservations"), 0), Partition(topic_of("payments"), 0)
CHANNEL = parse_channel("restaurant:r:reservations")
HOUR = 3_600_000


@pytest.fixture
def cursor():
    cursor = Cursor()
    cursor.found({at: OffsetRange(0, 0, "id") for at in (RESERVATIONS, PAYMENTS)})
    return cursor


@pytest.fixture
def history(cursor):
    return History(Retention(1, 1 << 20), cursor, a_window(), max_pending_bytes=10_000)


def committed(history):
    entries = history.take()
    history.committed(entries, history.generation, {})
    return entries


def test_channels_without_a_snapshot_that_makes_up_for_their_events_have_a_history():
    kept = ("restaurant:r:reservations", "user:u:notifications", "global:announcements")
    assert all(kind_of(name).has_history for name in kept)
    # A guest may be called like a kind: nothing of a conversation may be kept on disk.
    others = ("restaurant:r:tables", "restaurant:r:menu", "global:restaurants", "restaurant:r:chat:notifications")
    assert not any(kind_of(name).has_history for name in others)


def test_what_is_added_is_taken_once_with_serials_that_increase(history):
    history.time = 7
    history.add(CHANNEL.name, RESERVATIONS, 3, b"frame")
    history.add_pair(CHANNEL.name, RESERVATIONS, 3, PAYMENTS, 1)
    history.add_pair("restaurant:r:tables", RESERVATIONS, 3, PAYMENTS, 1)
    history.add_unpublished(CHANNEL.name, PAYMENTS, 2)
    publication, pair, note = history.take()
    assert publication == StoredPublication(CHANNEL.name, 1, RESERVATIONS, 3, 7, b"frame")
    assert pair == StoredPair(CHANNEL.name, 2, RESERVATIONS, 3, PAYMENTS, 1, 7)
    assert isinstance(note, StoredNote)
    assert note.serial == 3
    assert list(history.take()) == []


def test_what_was_read_at_the_start_is_answered_once_it_is_committed(history):
    assert history.anew
    assert history.reaches_back(CHANNEL, {RESERVATIONS: 0, PAYMENTS: 0})
    committed(history)
    assert not history.anew
    assert history.reaches_back(CHANNEL, {RESERVATIONS: 0, PAYMENTS: 0})
    assert not history.reaches_back(parse_channel("restaurant:r:tables"), {})


def test_a_place_before_a_floor_is_not_answered(history):
    history.committed(Entries(), history.generation, {RESERVATIONS: 5})
    assert not history.reaches_back(CHANNEL, {RESERVATIONS: 4, PAYMENTS: 9})
    assert not history.reaches_back(CHANNEL, {PAYMENTS: 9}), "a partition that is left out counts from 0"
    assert history.reaches_back(CHANNEL, {RESERVATIONS: 5})


def test_what_could_not_be_committed_is_taken_again_before_the_rest(history):
    history.add(CHANNEL.name, RESERVATIONS, 1, b"one")
    taken = history.take()
    history.add(CHANNEL.name, RESERVATIONS, 2, b"two")
    history.give_back(taken, history.generation)
    assert [entry.offset for entry in history.take()] == [1, 2]


def test_more_than_may_wait_is_lost_and_nothing_is_promised_before_it(history, cursor):
    committed(history)
    for offset in range(25):
        cursor.advance(RESERVATIONS, offset + 1)
        history.add(CHANNEL.name, RESERVATIONS, offset, b"x" * 1000)
    assert history.lost
    assert history.pending_bytes <= 10_000
    first = next(iter(history.take())).offset
    assert history.floors[RESERVATIONS] == first
    assert not history.reaches_back(CHANNEL, {RESERVATIONS: first - 1, PAYMENTS: 0})


def test_a_history_that_restarts_promises_nothing_before_where_it_stands(history, cursor):
    committed(history)
    history.add(CHANNEL.name, RESERVATIONS, 0, b"x")
    cursor.advance(RESERVATIONS, 1)
    before, taken = history.generation, history.take()
    history.restart()
    history.give_back(taken, before)
    history.committed(taken, before, {})
    assert history.anew, "what was committed before is to be forgotten"
    assert list(history.take()) == []
    committed(history)
    assert not history.reaches_back(CHANNEL, {RESERVATIONS: 0, PAYMENTS: 0})
    assert history.reaches_back(CHANNEL, {RESERVATIONS: 1, PAYMENTS: 0})


def test_only_the_age_of_a_record_makes_it_past(history):
    assert history.is_past(0, HOUR + 1)
    assert not history.is_past(1, HOUR + 1)


def test_a_stretch_of_time_ends_after_half_a_window_or_many_records(history, cursor):
    cursor.advance(RESERVATIONS, 10)
    history.mark(1000, {})
    assert list(history.take()) == []
    history.mark(150_000, {})
    [note] = history.take()
    assert barrier_of(note.value).cursor == {}, "nothing is known of before the start"
    history.mark(400_000, {})
    assert list(history.take()) == [], "nothing has come since"
    cursor.advance(RESERVATIONS, 10 + RECORDS_BETWEEN)
    history.mark(400_001, {})
    [note] = history.take()
    assert barrier_of(note.value).cursor == {RESERVATIONS: 10, PAYMENTS: 0}


def test_position_before_a_barrier_is_not_checked(history, cursor):
    cursor.advance(RESERVATIONS, 10)
    cursor.advance(PAYMENTS, 10)
    history.mark(150_000, {})
    cursor.advance(RESERVATIONS, 20)
    cursor.advance(PAYMENTS, 20)
    unsure = {RESERVATIONS: 8}
    assert history.lets_through(CHANNEL, {RESERVATIONS: 7, PAYMENTS: 10}, unsure)
    assert not history.lets_through(CHANNEL, {RESERVATIONS: 7, PAYMENTS: 11}, unsure)
    assert history.lets_through(CHANNEL, {RESERVATIONS: 8, PAYMENTS: 11}, unsure)
    history.mark(300_000, unsure)
    assert not history.lets_through(CHANNEL, {RESERVATIONS: 7, PAYMENTS: 11}, {}), "it is remembered"


def test_where_a_store_goes_on_no_place_may_lie_across(history):
    history.begin(5, {}, Barriers(), Barrier({}, {}), {RESERVATIONS: 10, PAYMENTS: 10})
    assert not history.lets_through(CHANNEL, {RESERVATIONS: 9, PAYMENTS: 11}, {})
    assert history.lets_through(CHANNEL, {RESERVATIONS: 9, PAYMENTS: 10}, {})


def test_history_goes_on_after_what_is_stored(history):
    history.begin(5, {RESERVATIONS: 2}, Barriers(), Barrier({}, {}), {RESERVATIONS: 10})
    assert len(history.take()) == 2, "the barriers alone"
    assert history.floors == {RESERVATIONS: 2}
    history.add(CHANNEL.name, RESERVATIONS, 10, b"new")
    assert [entry.serial for entry in history.take()] == [8]


def test_notes_say_whether_a_place_is_kept():
    unpublished = unpublished_note(PAYMENTS, 5)
    assert is_kept(unpublished, {PAYMENTS: 5})
    assert not is_kept(unpublished, {PAYMENTS: 4})
    moved = moved_note(PAYMENTS, {RESERVATIONS: 3, PAYMENTS: 7})
    assert is_kept(moved, {RESERVATIONS: 3, PAYMENTS: 7}), "after it"
    assert is_kept(moved, {RESERVATIONS: 2, PAYMENTS: 6}), "before it"
    assert not is_kept(moved, {RESERVATIONS: 2, PAYMENTS: 7})
    assert is_kept(b'{"barrier":[]}', {})


@pytest.mark.parametrize("value", [b"", b"no JSON", b"[]", b'{"untold": 1}', b'{"moved": ["t"], "cut": []}'])
def test_a_note_that_is_none_is_corrupt(value):
    with pytest.raises(CorruptStateError):
        is_kept(value, {})
    with pytest.raises(CorruptStateError):
        barrier_of(value)


def test_a_barrier_with_floors_is_what_it_was():
    barrier = Barrier({PAYMENTS: 3}, {PAYMENTS: 4})
    assert barrier.rows() == [(PAYMENTS.topic, 0, 3, 4)]
