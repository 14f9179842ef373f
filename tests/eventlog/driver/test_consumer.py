"""What a consumer knows of the ends of its partitions, and when it asks for more, without a broker."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import TopicPartitionState
from kafka.errors import (
    KafkaConnectionError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from mesaya_ws.eventlog.kafka.driver.batches import SIZES
from mesaya_ws.eventlog.kafka.driver.consumer import MAINTENANCE_INTERVAL, PAUSED_WAIT, Consumer

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


class Silent:
    """The half of a client that would speak to brokers: whatever it is asked, it does nothing."""

    def __init__(self) -> None:
        self.config = {"fetch_max_wait_ms": 500}
        self._next_in_line_exception_metadata: object = None
        self._next_partition_records: object = None
        self._completed_fetches: list[object] = []
        self._paused_completed_fetches: dict[TopicPartition, object] = {}
        self._paused_partition_records: dict[TopicPartition, object] = {}

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def consumer() -> Consumer:
    """A consumer of `A` and `B`, which stands at 3 in both."""
    places = {at: TopicPartitionState() for at in (A, B)}
    for place in places.values():
        place.seek(OffsetAndMetadata(3, "", -1))
    raw = SimpleNamespace(_fetcher=Silent(), _subscription=SimpleNamespace(assignment=places))
    consumer = Consumer(raw, SIZES)
    consumer.end_refresh({A: 3, B: 3}, set())
    return consumer


def answer(consumer: Consumer, at: TopicPartition, end: int, *, stable: int | None = None, error: int = 0) -> None:
    """Let an answer arrive that says the end of a partition, and how far transactions are done; or an error."""
    part = SimpleNamespace(
        partition_index=at.partition,
        high_watermark=end,
        last_stable_offset=end if stable is None else stable,
        error_code=error,
    )
    response = SimpleNamespace(responses=[SimpleNamespace(topic=at.topic, partitions=[part])])
    consumer.raw._fetcher._handle_fetch_response(None, None, 0.0, response)


def test_ends_in_an_answer_are_known_once_it_is_taken(consumer: Consumer):
    answer(consumer, A, 7)
    assert consumer.lag(A) == 0
    assert consumer.updated() == {A}
    assert (consumer.lag(A), consumer.lag(A, 6), consumer.lag(A, 9), consumer.lag(B)) == (4, 1, 0, 0)
    assert consumer.updated() == set()
    assert consumer.lag(A) == 4


@pytest.mark.parametrize(("end", "stable", "lag"), [(9, 5, 2), (9, -1, 6)])
def test_the_end_is_where_transactions_are_done_if_the_broker_knows(
    consumer: Consumer, end: int, stable: int, lag: int
):
    answer(consumer, A, end, stable=stable)
    consumer.updated()
    assert consumer.lag(A) == lag


def test_answer_without_an_end_changes_nothing(consumer: Consumer):
    answer(consumer, A, -1)
    assert consumer.updated() == set()


def test_end_from_an_answer_during_a_refresh_is_kept(consumer: Consumer):
    consumer.begin_refresh()
    answer(consumer, A, 8)
    consumer.updated()
    consumer.end_refresh({A: 5, B: 6}, set())
    assert (consumer.lag(A), consumer.lag(B)) == (5, 3)


def test_answer_after_the_end_of_a_refresh_is_taken_later(consumer: Consumer):
    consumer.begin_refresh()
    answer(consumer, A, 8)
    consumer.end_refresh({A: 5, B: 5}, set())
    assert consumer.lag(A) == 2
    assert consumer.updated() == {A}
    assert consumer.lag(A) == 5


def test_refresh_replaces_ends_known_before_it_began(consumer: Consumer):
    answer(consumer, A, 8)
    consumer.updated()
    consumer.begin_refresh()
    consumer.end_refresh({A: 5, B: 5}, set())
    assert consumer.lag(A) == 2, "the log is shorter now"


def test_end_of_a_partition_missing_in_a_refresh_is_kept_while_it_is_read(consumer: Consumer):
    consumer.begin_refresh()
    answer(consumer, A, 8)
    consumer.updated()
    consumer.end_refresh({B: 3}, set())
    assert (consumer.end(A), consumer.lag(A)) == (8, 5)


@pytest.mark.parametrize("replaced", [set(), {A}])
def test_of_what_is_not_read_any_more_nothing_is_known(consumer: Consumer, replaced: set[TopicPartition]):
    answer(consumer, A, 8)
    consumer.updated()
    if not replaced:
        del consumer.raw._subscription.assignment[A]
    consumer.end_refresh({B: 3}, replaced)
    assert (consumer.end(A), consumer.lag(A, 0)) == (None, 0)
    assert consumer.end(B) == 3


def test_what_the_broker_hands_nothing_out_of_is_failing_until_it_does(consumer: Consumer):
    answer(consumer, A, -1, error=UnknownError.errno)
    answer(consumer, B, -1, error=OffsetOutOfRangeError.errno)
    assert consumer.failing == {A: UnknownError.errno}, "what is out of range is another matter"
    answer(consumer, B, 5)
    assert consumer.failing == {A: UnknownError.errno}
    answer(consumer, A, 5)
    assert consumer.failing == {}


@pytest.mark.parametrize("announced", [False, True])
def test_metadata_of_a_recreated_topic_are_forgotten(consumer: Consumer, announced: bool):
    consumer.begin_refresh()
    for at in (A, B):
        answer(consumer, at, 8)
    if announced:
        consumer.updated()
    consumer.end_refresh({A: 4, B: 4}, {A})
    assert consumer.updated() == (set() if announced else {B})
    assert (consumer.lag(A), consumer.lag(B)) == (1, 5)


def paused(consumer: Consumer) -> set[TopicPartition]:
    return {at for at, state in consumer.raw._subscription.assignment.items() if state.paused}


def test_those_are_paused_that_are_wanted_so_and_no_others(consumer: Consumer):
    for wanted in ({A}, {A, B}, {B}, {B}, set(), set()):
        assert consumer.pause(frozenset(wanted)) is bool(wanted)
        assert paused(consumer) == wanted


def test_fetch_with_a_paused_partition_is_answered_soon(consumer: Consumer):
    config = consumer.raw._fetcher.config
    consumer.pause({A})
    assert config["fetch_max_wait_ms"] == PAUSED_WAIT
    consumer.pause(set())
    assert config["fetch_max_wait_ms"] == 500


def test_what_is_not_read_cannot_be_paused(consumer: Consumer):
    assert not consumer.pause({TopicPartition("c", 0)})
    assert not consumer.pause({None})
    assert paused(consumer) == set()


def test_a_partition_that_is_new_is_paused_too(consumer: Consumer):
    consumer.pause({A, B})
    consumer.raw._subscription.assignment[B] = TopicPartitionState()
    consumer.pause({A, B})
    assert paused(consumer) == {A, B}


def test_nothing_is_paused_while_an_error_is_to_be_reported(consumer: Consumer):
    """kafka-python forgets an error of a paused partition, and then spins on its half-read batch."""
    consumer.raw._fetcher._next_in_line_exception_metadata = object()
    assert not consumer.pause({A})
    assert paused(consumer) == set()
    consumer.raw._fetcher._next_in_line_exception_metadata = None
    assert consumer.pause({A})


def test_transient_error_is_forgotten_of_a_partition_that_is_not_fetched(consumer: Consumer):
    """A leader moves while the last answer before the pause is on its way: nobody would say that it has moved."""
    consumer.pause({A, B})
    answer(consumer, A, -1, error=NotLeaderForPartitionError.errno)
    answer(consumer, B, -1, error=TopicAuthorizationFailedError.errno)
    consumer.pause({A, B})
    assert consumer.failing == {B: TopicAuthorizationFailedError.errno}, "a right does not come back by itself"


def test_what_had_arrived_of_a_paused_topic_that_was_created_again_is_forgotten_too(consumer: Consumer):
    fetcher = consumer.raw._fetcher
    fetcher._paused_completed_fetches = {A: "old", B: "kept"}
    fetcher._paused_partition_records = {A: "old"}
    consumer.end_refresh({A: 0, B: 3}, {A})
    assert fetcher._paused_completed_fetches == {B: "kept"}
    assert fetcher._paused_partition_records == {}


class Broker:
    """Both halves of a client: it has `buffered` records to take; a turn of its loop does what is next in `turns`.

    What it was asked to do is in `done`; it keeps the time.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.turns: list[Callable[[], None]] = []
        self.config = {"fetch_max_wait_ms": 500}
        self.buffered: list[str] = []
        self.now = 1000.0
        self.closed = False
        self._completed_fetches: list[str] = []
        self._next_partition_records: object = None
        self._paused_partition_records: dict[TopicPartition, str] = {}

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.done.append(name)

    def fetched_records(self, limit: int) -> tuple[dict[TopicPartition, list[str]], bool]:
        taken, self.buffered = self.buffered[:limit], self.buffered[limit:]
        self._completed_fetches = self.buffered
        return ({A: taken} if taken else {}), bool(self.buffered)

    async def _send_fetches_async(self) -> None:
        self.done.append("ask")

    def _clear_pending_fetch_request(self, node: int, _: object) -> None:
        pass

    def poll(self, milliseconds: float) -> None:
        if self.turns:
            self.turns.pop(0)()
        else:
            self.now += milliseconds / 1000

    def asked(self) -> int:
        return self.done.count("ask")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def polling(broker: Broker) -> Consumer:
    """A consumer of `broker`."""
    raw = SimpleNamespace(_fetcher=broker, _net=broker, _manager=broker)
    return Consumer(raw, SIZES, clock=lambda: broker.now)


def test_a_poll_ends_in_time_when_nothing_comes_and_asks_once(polling: Consumer, broker: Broker):
    assert polling.poll(0.2) == {}
    assert broker.now == pytest.approx(1000.2)
    assert broker.asked() == 1


def test_nothing_more_is_asked_for_before_all_that_has_come_is_taken(polling: Consumer, broker: Broker):
    polling.poll(0)
    broker.buffered = ["a", "b", "c"]
    polling.raw._fetcher._clear_pending_fetch_request(1, None)
    assert polling.poll(0.2, 2) == {A: ["a", "b"]}
    assert polling.poll(0.2, 2) == {A: ["c"]}
    assert broker.asked() == 0
    polling.poll(0.2)
    assert broker.asked() == 1


def test_while_an_answer_is_awaited_it_is_not_asked_for_again(polling: Consumer, broker: Broker):
    broker.turns = [lambda: None] * 5
    polling.poll(MAINTENANCE_INTERVAL / 2)
    polling.poll(MAINTENANCE_INTERVAL / 2)
    assert broker.asked() == 1


def test_whoever_has_answered_is_asked_again_at_once_though_it_had_nothing(polling: Consumer, broker: Broker):
    broker.turns = [lambda: polling.raw._fetcher._clear_pending_fetch_request(1, None)]
    polling.poll(MAINTENANCE_INTERVAL / 2)
    assert broker.asked() == 2


def test_places_are_seen_to_now_and_then_and_partitions_that_are_new_asked_for(polling: Consumer, broker: Broker):
    for _ in range(3):
        polling.poll(MAINTENANCE_INTERVAL * 1.5)
    assert broker.asked() == broker.done.count("maybe_validate_positions") == 3


def test_records_that_come_meanwhile_end_the_waiting(polling: Consumer, broker: Broker):
    broker.turns = [lambda: broker.buffered.append("a")]
    assert polling.poll(0.2) == {A: ["a"]}
    assert broker.now == 1000.0


def test_resumed_partition_continues_with_its_buffer_after_another_one(polling: Consumer, broker: Broker):
    broker._next_partition_records, broker._paused_partition_records = [], {A: "rest"}
    polling.poll(0)
    assert broker._next_partition_records is None, "or kafka-python would not take the rest in hand again"


def test_who_waits_learns_that_the_consumer_is_closed_under_it(polling: Consumer, broker: Broker):
    broker.turns = [lambda: setattr(broker, "closed", True)]
    with pytest.raises(KafkaConnectionError):
        polling.poll(0.2)
