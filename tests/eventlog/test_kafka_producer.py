"""How records are appended, as far as it needs no broker."""

from itertools import count
from math import inf
from typing import Any

import pytest
import trio
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from mesaya_ws.core.log.interface import RecordRejectedError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.eventlog.kafka import producer
from mesaya_ws.eventlog.kafka.driver.clients import connection_options
from mesaya_ws.eventlog.kafka.producer import MISSING_TIMEOUT, _Session
from mesaya_ws.settings import Settings


class Sender:
    """The thread that sends: what there is whenever it is woken."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.seen: list[int] = []
        self._topics_to_add: set[str] = set()

    def wakeup(self) -> None:
        self.seen.append(len(self.records))


class Client:
    """A producer that keeps what it is given, and refuses what is large."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self._sender = Sender(self.records)

    def send(self, topic: str, value: bytes, _key: object) -> object:
        if len(value) > 100:
            raise MessageSizeTooLargeError
        if topic == "new":
            self._sender._topics_to_add = {topic}
            self._sender.wakeup()
            self._sender._topics_to_add = set()
        self.records.append(value)
        self._sender.wakeup()
        return value


@pytest.fixture
def session() -> _Session:
    """A client that produces, with no broker."""
    session = _Session(connection_options(Settings(kafka_brokers=("127.0.0.1:1",))), {})
    session._producer = Client()
    return session


def test_records_appended_together_are_sent_in_one_batch(session: _Session):
    assert len(session.send([NewRecord("a", b"x")] * 5)) == 5
    assert session._producer._sender.seen == [5]
    session.send([NewRecord("a", b"x")])
    assert session._producer._sender.seen == [5, 6]


def test_records_before_a_rejected_one_are_sent(session: _Session):
    *kept, refusal = session.send([NewRecord("a", b"x"), NewRecord("a", b"x" * 101), NewRecord("a", b"x")])
    assert len(kept) == 1
    assert isinstance(refusal, RecordRejectedError)
    assert session._producer._sender.seen == [1]


def test_sender_is_woken_for_the_metadata_of_a_topic(session: _Session):
    session.send([NewRecord("a", b"x"), NewRecord("new", b"x"), NewRecord("a", b"x")])
    assert session._producer._sender.seen == [1, 3]


class Unknown(Client):
    """A producer that knows nothing of topics, until it has been asked so many `times`."""

    def __init__(self, times: float) -> None:
        super().__init__()
        self.times = times

    def send(self, topic: str, value: bytes, key: object) -> object:
        self.times -= 1
        if self.times >= 0:
            raise KafkaTimeoutError
        return super().send(topic, value, key)


@pytest.fixture
def missing(session: _Session, monkeypatch: pytest.MonkeyPatch) -> _Session:
    """A session of which all brokers say that there is no topic, and a clock that goes on with every look at it."""
    clock = count()
    monkeypatch.setattr(producer, "monotonic", lambda: next(clock) * MISSING_TIMEOUT / 10)
    monkeypatch.setattr(trio.from_thread, "check_cancelled", lambda: None)
    monkeypatch.setattr(session, "_is_missing", lambda topic: True)
    return session


def test_a_topic_that_is_missing_for_a_moment_is_asked_for_again(missing: _Session):
    missing._producer = Unknown(times=3)
    assert missing.send([NewRecord("a", b"x")]) == [b"x"]


def test_a_topic_that_stays_missing_is_refused(missing: _Session):
    missing._producer = Unknown(times=inf)
    [refusal] = missing.send([NewRecord("a", b"x")])
    assert isinstance(refusal, RecordRejectedError)
    assert "has no topic a" in str(refusal)
