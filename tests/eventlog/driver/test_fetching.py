"""The consumer on kafka-python as it is, with answers made here in place of those of a broker."""

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import TopicAuthorizationFailedError

from mesaya_ws.eventlog.kafka.driver.batches import TAKEN_BYTES
from mesaya_ws.eventlog.kafka.driver.clients import Clients, connection_options
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer, PoisonError
from mesaya_ws.settings import Settings

from .test_batches import batch_of, with_a_poisoned_one

A, B, C = (TopicPartition(topic, 0) for topic in "abc")
END = 10


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    """A consumer of three partitions, from their beginning; it has no connection, and is given the broker's version."""
    options = {**connection_options(Settings(kafka_brokers=("127.0.0.1:1",))), "api_version": (4, 1)}
    with closing(Clients(options)) as clients:
        consumer = clients.consumer()
        consumer.raw.assign([A, B, C])
        for at in (A, B, C):
            consumer.seek(at, 0, None)
        yield consumer


def answer(consumer: Consumer, data: dict[TopicPartition, bytes], error: int = 0) -> None:
    """Let one answer arrive, which has this of each partition from where the consumer is."""
    topics = [
        SimpleNamespace(
            topic=at.topic,
            partitions=[
                SimpleNamespace(
                    partition_index=at.partition,
                    error_code=error,
                    high_watermark=END,
                    last_stable_offset=END,
                    log_start_offset=0,
                    aborted_transactions=None,
                    preferred_read_replica=-1,
                    current_leader=None,
                    diverging_epoch=None,
                    records=records,
                )
            ],
        )
        for at, records in data.items()
    ]
    offsets = {at: consumer.place(at) for at in data}
    # Version 6 has no sessions, which would want a request before.
    response = SimpleNamespace(API_VERSION=6, error_code=0, throttle_time_ms=0, responses=topics)
    consumer.raw._fetcher._handle_fetch_response(1, offsets, 0.0, response)


def numbered(count: int, size: int = 1, first: int = 0) -> bytes:
    return batch_of([(1, None, bytes(size), [])] * count, first=first)


def offsets(consumer: Consumer) -> dict[TopicPartition, list[int]]:
    """Return what one poll hands over."""
    return {at: [record.offset for record in records] for at, records in consumer.poll(0).items()}


def test_what_arrives_is_handed_over_and_moves_the_place(consumer: Consumer):
    answer(consumer, {A: numbered(3), B: numbered(2)})
    assert offsets(consumer) == {A: [0, 1, 2], B: [0, 1]}
    assert consumer.updated() == {A, B}
    assert (consumer.place(A), consumer.lag(A), consumer.lag(B)) == (3, END - 3, END - 2)
    assert offsets(consumer) == {}


def test_of_many_partitions_no_more_is_taken_at_once_than_of_one(consumer: Consumer):
    size = TAKEN_BYTES * 3 // 4
    answer(consumer, dict.fromkeys((A, B, C), numbered(1, size)))
    assert offsets(consumer) == {A: [0], B: [0]}
    assert offsets(consumer) == {C: [0]}


def test_unreadable_batch_is_reported_once_and_others_continue(consumer: Consumer):
    answer(consumer, {A: with_a_poisoned_one(2, 1), B: numbered(2)})
    found: dict[TopicPartition, list[int]] = {}
    poison = []
    for _ in range(5):
        try:
            found |= offsets(consumer)
        except PoisonError as error:
            poison.append(error.poison)
            assert consumer.raw._fetcher._next_partition_records is None, "or it would be met again and again"
            consumer.raw.seek(A, error.poison.offset + 1)
    assert found == {A: [0, 1], B: [0, 1]}
    assert [(each.partition, each.offset, each.too_large) for each in poison] == [(A, 3, False)]


def test_what_had_arrived_of_a_paused_partition_comes_when_it_is_resumed(consumer: Consumer):
    size = TAKEN_BYTES * 3 // 4
    answer(consumer, {A: numbered(4, size)})
    assert offsets(consumer) == {A: [0, 1]}
    assert consumer.pause({A})
    answer(consumer, {B: numbered(2)})
    assert offsets(consumer) == {B: [0, 1]}
    assert offsets(consumer) == {}
    consumer.pause(())
    assert offsets(consumer) == {A: [2, 3]}


def test_a_place_keeps_the_epoch_that_it_is_given(consumer: Consumer):
    for epoch, kept in ((7, 7), (None, -1)):
        consumer.seek(A, 4, epoch)
        position = consumer.raw._subscription.assignment[A].position
        assert (position.offset, position.leader_epoch) == (4, kept)


def test_a_partition_that_is_refused_is_failing_and_raises(consumer: Consumer):
    answer(consumer, {A: b""}, error=TopicAuthorizationFailedError.errno)
    assert consumer.failing == {A: TopicAuthorizationFailedError.errno}
    with pytest.raises(TopicAuthorizationFailedError):
        consumer.poll(0)
    answer(consumer, {A: numbered(1)})
    assert offsets(consumer) == {A: [0]}
    assert consumer.failing == {}
