"""What a consumer knows of the ends of its partitions, without a broker."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from mesaya_ws.eventlog.kafka import consumer as module
from mesaya_ws.eventlog.kafka.consumer import Consumer

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


class Silent:
    """The half of a client that would speak to brokers: whatever it is asked, it does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """A consumer of `A` and `B`, which stands at 3 in both."""
    places = {at: SimpleNamespace(position=SimpleNamespace(offset=3)) for at in (A, B)}
    raw = SimpleNamespace(_fetcher=Silent(), _subscription=SimpleNamespace(assignment=places))
    monkeypatch.setattr(module, "KafkaConsumer", lambda **_: raw)
    consumer = Consumer(lambda: None, {})
    consumer.end_look({A: 3, B: 3}, set())
    return consumer


def answer(consumer: Consumer, at: TopicPartition, end: int, *, stable: int | None = None) -> None:
    """Let an answer arrive that tells the end of a partition, and how far transactions are done."""
    part = SimpleNamespace(
        partition_index=at.partition, high_watermark=end, last_stable_offset=end if stable is None else stable
    )
    response = SimpleNamespace(responses=[SimpleNamespace(topic=at.topic, partitions=[part])])
    consumer.raw._fetcher._handle_fetch_response(None, None, 0.0, response)


def test_what_answers_tell_is_known_when_it_has_been_heard(consumer: Consumer):
    answer(consumer, A, 7)
    assert consumer.lag(A) == 0
    assert consumer.hear() == {A}
    assert (consumer.lag(A), consumer.lag(A, 6), consumer.lag(A, 9), consumer.lag(B)) == (4, 1, 0, 0)
    assert consumer.hear() == set()
    assert consumer.lag(A) == 4


@pytest.mark.parametrize(("end", "stable", "lag"), [(9, 5, 2), (9, -1, 6)])
def test_the_end_is_where_transactions_are_done_if_the_broker_knows(
    consumer: Consumer, end: int, stable: int, lag: int
):
    answer(consumer, A, end, stable=stable)
    consumer.hear()
    assert consumer.lag(A) == lag


def test_an_answer_without_an_end_tells_nothing(consumer: Consumer):
    answer(consumer, A, -1)
    assert consumer.hear() == set()


def test_what_an_answer_told_during_a_look_is_not_forgotten_for_it(consumer: Consumer):
    consumer.begin_look()
    answer(consumer, A, 8)
    consumer.hear()
    consumer.end_look({A: 5, B: 6}, set())
    assert (consumer.lag(A), consumer.lag(B)) == (5, 3)


def test_an_answer_that_has_not_been_heard_when_a_look_ends_is_heard_after_it(consumer: Consumer):
    consumer.begin_look()
    answer(consumer, A, 8)
    consumer.end_look({A: 5, B: 5}, set())
    assert consumer.lag(A) == 2
    assert consumer.hear() == {A}
    assert consumer.lag(A) == 5


def test_a_look_knows_better_than_what_was_told_before_it_began(consumer: Consumer):
    answer(consumer, A, 8)
    consumer.hear()
    consumer.begin_look()
    consumer.end_look({A: 5, B: 5}, set())
    assert consumer.lag(A) == 2, "the log is shorter now"


def test_of_what_a_look_does_not_find_nothing_is_known(consumer: Consumer):
    consumer.begin_look()
    answer(consumer, A, 8)
    consumer.hear()
    consumer.end_look({B: 3}, set())
    with pytest.raises(KeyError):
        consumer.lag(A)


@pytest.mark.parametrize("heard", [False, True])
def test_what_was_told_of_a_topic_that_was_created_again_is_forgotten(consumer: Consumer, heard: bool):
    consumer.begin_look()
    for at in (A, B):
        answer(consumer, at, 8)
    if heard:
        consumer.hear()
    consumer.end_look({A: 4, B: 4}, {A})
    assert consumer.hear() == (set() if heard else {B})
    assert (consumer.lag(A), consumer.lag(B)) == (1, 5)
