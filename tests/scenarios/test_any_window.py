"""Whenever an instance is killed: one that goes on with its store answers clients as one does that never stopped."""

from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.interactions.chat_records import ConversationKey, Erased, Said, chat_record
from mesaya_ws.core.log.events import Records
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.last_records import REMEMBERED, LastRecords
from mesaya_ws.core.recovery.stored import HistoryRequest, read_pages
from mesaya_ws.core.recovery.verdict import NeedsHistory, Recoverable, Unrecoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.statestore.store import LmdbState, PinnedView
from tests.core.replicas import Replica, SharedLog
from tests.scenarios.test_any_order import CHANNELS, PARTITIONS, arrivals, more, story, whole
from tests.support.instance import a_feed, commit, resume
from tests.support.log import LATER, Log

CHANNELS = [*CHANNELS, parse_channel("user:x:notifications"), parse_channel("user:x2:notifications")]
RETENTION = Retention(1e6, 1 << 30)


class Life:
    """An instance that takes the records of a log in a given order, and keeps what it knows in a store."""

    def __init__(self, log, order, store, steady=0, last_records=REMEMBERED, **window):
        self.log, self.order, self.store = log, order, store
        self.steady = steady
        self.last_records = last_records
        self.window = {"seconds": 10**9, "max_bytes": 1 << 24} | window
        self.feed = a_feed(retention=RETENTION, **self.window)
        self.feed.history.window_copy.last_records = LastRecords(last_records)

    def begin(self):
        """See how far the log goes; return itself."""
        self.feed.ingest(self.log.sources(), LATER, self.steady)
        list(self.feed.process(LATER, self.steady + 2000))
        return self

    def take(self, records):
        for record in records:
            self.feed.ingest(Records(Partition(record.topic, record.partition), [record], 0), LATER, self.steady)
            list(self.feed.process(LATER, self.steady + 2000))  # nobody waits any longer
        return self

    def commit(self):
        captured = self.feed.persistent.capture_changes(LATER, self.steady)
        changes = captured.encoded()
        self.store.commit(changes)
        self.pin()
        list(self.feed.persistent.changes_committed(captured, changes, self.feed.known.stored.view.floors))

    def pin(self):
        """Have the rules see what the store has."""
        self.end()
        self.feed.known.stored.view = self.store if isinstance(self.store, MemoryState) else self.store.pin()

    def end(self):
        """Be killed."""
        view, self.feed.known.stored.view = self.feed.known.stored.view, None
        if isinstance(view, PinnedView):
            view.close()

    def restarted(self, steady):
        """Return another instance that goes on with the store, and has read again what came after its last commit."""
        self.end()
        other = Life(self.log, self.order, self.store, steady, self.last_records, **self.window)
        other.pin()
        places = resume(other.feed, other.feed.known.stored.view, LATER, steady)
        other.begin()
        again = [
            record
            for record in self.order
            if places[Partition(record.topic, record.partition)].next
            <= record.offset
            < self.feed.cursor.next[Partition(record.topic, record.partition)]
        ]
        return other.take(again)

    def answer(self, channel, position):
        """Return the frames that a client of a position gets, or why it gets none."""
        verdict = self.feed.check_position(channel, position, 0)
        match verdict:
            case Recoverable(vector):
                return [each.frame for each in self.feed.window.after(channel.name, vector)]
            case NeedsHistory(vector):
                return self._read(channel, vector)
        return verdict

    def _read(self, channel, vector):
        page = self._page(HistoryRequest(channel, vector, opens=True))
        if not page.is_whole:
            return Unrecoverable.EXPIRED
        if not page.is_clean:
            return Unrecoverable.INCONSISTENT_POSITION
        try:
            replay = self.feed.replay_stored(channel, page)
            frames = []
            while not replay.done:
                if replay.is_awaited:
                    replay.supply(self._page(HistoryRequest(channel, replay.after, opens=False)))
                frames += replay.page()
        except PositionEvicted:
            return Unrecoverable.EXPIRED
        return frames

    def _page(self, request):
        with self.store.view() as view:
            [page] = read_pages(view, [request])
        return page


def lives(seed, new_store, **window):
    """Let a log be read by one that goes on, one that is killed again and again, and one in another order.

    Return the first two, and all positions that clients have had: each with its
    channel, and whether the first two have been there.
    """
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 15)
    more(log, random, 10)
    order = arrivals(log.records, random)
    never = Life(log, order, MemoryState(), **window).begin()
    killed = Life(log, order, new_store(), random.randrange(10**9), **window).begin()
    never.commit()
    killed.commit()
    positions = []
    for record in order:
        never.take([record])
        killed.take([record])
        positions += [(channel, never.feed.position(channel), True) for channel in CHANNELS]
        match random.randrange(6):
            case 0 | 1:
                never.commit()
                killed.commit()
            case 2:
                killed = killed.restarted(random.randrange(10**9))
    never.commit()
    killed = killed.restarted(random.randrange(10**9))
    killed.commit()
    there = Life(log, arrivals(log.records, random), MemoryState(), **window).begin()
    for record in there.order:
        there.take([record])
        positions += [(channel, there.feed.position(channel), False) for channel in CHANNELS]
    return never, killed, positions


@pytest.fixture(params=["dict", "lmdb"])
def new_store(request, tmp_path_factory):
    opened = []

    def make():
        if request.param == "dict":
            return MemoryState()
        opened.append(store := LmdbState(tmp_path_factory.mktemp("state")))
        store.reopen()
        return store

    yield make
    for store in opened:
        store.close()


def test_who_comes_across_a_start_is_answered_by_what_depends_on_what():
    log = Log()
    section = partial(whole, "section", restaurantId="R")
    begun = [
        log.says("restaurant.created", "R", **whole("restaurant")),
        log.says("section.created", "s1", **section()),
    ]
    last = log.says("section.created", "s2", **section())
    table = log.says("table.created", "t", **whole("table", sectionId="s1"))
    its_table = log.says("table.created", "u", **whole("table", sectionId="s2"))
    channel = parse_channel("restaurant:R:tables")
    killed = Life(log, [*begun, last, table, its_table], MemoryState()).begin().take([*begun, last])
    killed.commit()
    killed = killed.restarted(0).take([table, its_table])
    there = Life(log, [], MemoryState()).begin().take([*begun, table])
    assert len(killed.answer(channel, there.feed.position(channel))) == 2  # the section, and the other table
    there.take([its_table])
    assert killed.answer(channel, there.feed.position(channel)) is Unrecoverable.INCONSISTENT_POSITION


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
@pytest.mark.slow
def test_an_instance_that_was_killed_answers_as_one_that_never_stopped(new_store, seed):
    never, killed, positions = lives(seed, new_store)
    for channel, position, _ in positions:
        # Also to those who come from another instance, before a start in one partition, and after it in another.
        assert killed.answer(channel, position) == never.answer(channel, position)
    never.end()
    killed.end()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 12))
@pytest.mark.slow
def test_who_comes_across_a_start_from_further_away_is_answered_alike_or_gets_the_reason(new_store, seed, remembered):
    never, killed, positions = lives(seed, new_store, last_records=remembered)
    for channel, position, is_own in positions:
        expected, found = never.answer(channel, position), killed.answer(channel, position)
        assert found == expected or (not is_own and found == Unrecoverable.INCONSISTENT_POSITION)
    never.end()
    killed.end()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
@pytest.mark.slow
def test_a_window_that_is_full_promises_nothing_that_its_copy_lacks(new_store, seed):
    never, killed, positions = lives(seed, new_store, max_bytes=8_000)
    whole = Life(never.log, never.order, MemoryState()).begin().take(never.order)
    for channel, position, is_own in positions:
        expected, found = never.answer(channel, position), killed.answer(channel, position)
        if is_own and isinstance(expected, list):
            assert found == expected
        # Before what is on disk alone, it may have more in memory than one that never stopped.
        unknown = Unrecoverable.EXPIRED, Unrecoverable.INCONSISTENT_POSITION
        assert found in unknown or found == whole.answer(channel, position)
    never.end()
    killed.end()


def test_what_was_erased_is_erased_for_those_who_start_from_the_store_and_what_was_not_is_there():
    log, store = SharedLog(), MemoryState()
    log.restaurant("r1", "o1")
    log.user("u1", "Ana")
    log.user("u2", "Bea")
    replica = Replica(log, a_feed(max_bytes=1 << 22, retention=RETENTION))
    for user, text in (("u1", "my secret"), ("u2", "my word")):
        new = chat_record(Said(ConversationKey("r1", user), f"m-{user}", "guest", user, text), "now")
        log.append(new.topic, new.value, new.key)
    replica.read()
    commit(replica.feed, store)
    new = chat_record(Erased("u1"), "now")
    log.append(new.topic, new.value, new.key)
    replica.read()
    commit(replica.feed, store)
    started = a_feed(max_bytes=1 << 22, retention=RETENTION)
    resume(started, store)
    for feed in (replica.feed, started):
        [erased] = feed.window.after("restaurant:r1:chat:u1", {})
        assert b"my secret" not in erased.frame
        assert b"Ana" not in erased.frame
        [kept] = feed.window.after("restaurant:r1:chat:u2", {})
        assert b"my word" in kept.frame
    assert [each for _, each in started.window._order if b"my secret" in each.frame] == []
