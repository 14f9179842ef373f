"""Whenever an instance is killed: one that goes on with its store knows what one knows that has read the whole log."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesaya_ws.core.interactions.topics import ACKS
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.rows import encoded, in_order, known_in
from mesaya_ws.core.platform.settled import SETTLED
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.state.memory import MemoryState
from tests.scenarios.test_any_records import records
from tests.support.instance import a_feed, resume
from tests.support.log import NOW

ALL = (*TOPICS, PARENTS_TOPIC, ACKS)
COLD = {f"alive/{name}" for name in SETTLED}
PLACED = ("alive", "gone", "chat", "ack")


def a_log(values):
    """Return records with offsets, in the one order of an embedded log."""
    ends = dict.fromkeys(ALL, 0)
    log = []
    for value in values:
        log.append(value._replace(offset=ends[value.topic], timestamp=NOW))
        ends[value.topic] += 1
    return log


class Life:
    """An instance from its start, with or without a store, to when it is killed."""

    def __init__(self, log, store=None):
        self.log, self.store = log, store
        self.feed = a_feed(retention=None if store is None else Retention(1e6, 1 << 30), keep_settled_days=1)
        places = {}
        if store is not None:
            self.pin()
            if self.feed.known.stored.view.head is not None:
                places = resume(self.feed, self.feed.known.stored.view)
        self.next = {topic: places[at].next if (at := Partition(topic, 0)) in places else 0 for topic in ALL}

    def read(self, end):
        """Read the log up to a record."""
        records = [record for record in self.log[:end] if record.offset >= self.next[record.topic]]
        held = {Partition(topic, 0): OffsetRange(0, self.count(topic, end), "id") for topic in ALL}
        self.feed.ingest(LogMetadata(held, {None: len(records)}), NOW)
        self.feed.ingest(Records(None, records, 0), NOW)
        for _ in self.feed.process(NOW):
            list(self.feed.hub.fan_out())
        self.next = {topic: self.count(topic, end) for topic in ALL}

    def count(self, topic, end):
        return sum(record.topic == topic for record in self.log[:end])

    def commit(self):
        """Write what is known to the store."""
        captured = self.feed.persistent.capture_changes(NOW, NOW)
        changes = captured.encoded()
        self.store.commit(changes)
        self.pin()
        list(self.feed.persistent.changes_committed(captured, changes, self.feed.known.stored.view.floors))

    def pin(self):
        """Have the rules see what the store has."""
        former = self.feed.known.stored.view
        self.feed.known.stored.view = self.store if isinstance(self.store, MemoryState) else self.store.pin()
        if former is not None and former is not self.store:
            former.close()

    def end(self):
        """Be killed."""
        if (view := self.feed.known.stored.view) is not None and view is not self.store:
            view.close()

    def known(self):
        """Return all that is known, in its order; the numbers that say it apart, which each instance has its own of."""
        return [
            (table, id, encoded(value[:-1] if table.partition("/")[0] in PLACED else value))
            for table, id, value in in_order(self.feed.known.rows())
            if table != "expired_parents"
        ]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=50
)
@given(st.lists(records(), min_size=1, max_size=30), st.integers(0, 2**32))
@pytest.mark.slow
def test_an_instance_that_goes_on_with_its_store_knows_what_one_does_that_has_read_all(new_store, values, seed):
    random, log, store = Random(seed), a_log(values), new_store()
    life, at = Life(log, store), 0
    while at < len(log):
        at = min(len(log), at + random.randint(1, 10))
        life.read(at)
        match random.choice(["goes on", "commits", "is killed"]):
            case "commits":
                life.commit()
            case "is killed":
                life.end()
                life = Life(log, store)
                life.read(at)
                assert life.feed.live
    whole = Life(log)
    whole.read(len(log))
    assert life.known() == whole.known()
    life.commit()
    again = Life(log, store)
    again.read(len(log))
    assert again.known() == whole.known()
    with store.view() as view:
        stored = {
            (table, id): encoded(known_in(value)) if table in COLD else value
            for table in view.tables()
            for id, value in view.rows(table)
        }
    rows = {(table, id): encoded(value) for table, id, value in life.feed.known.rows()}
    # Until something was settled, there is no time of that.
    del stored["places", "reservation"], stored["places", "payment"]
    assert stored == {name: value for name, value in rows.items() if name in stored or name[0] != "settled"}
    life.end()
    again.end()
