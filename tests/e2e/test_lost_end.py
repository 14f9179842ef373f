"""A log that has lost its end is noticed: nobody who comes from there is answered that nothing is missing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.client import connected
from tests.kafka_broker import Broker, create_topics
from tests.timing import PATIENCE

CHANNEL = "global:announcements"
TOPIC = "mesa-ya.announcements.events"
STATE = {"CHECKPOINT_TOPIC": "test.state", "WINDOW_SECONDS": "1"}
TOKEN = {"PUBLISH_TOKEN": "a token of these tests, and of no others"}


def announce(gateway, *titles: str) -> None:
    for title in titles:
        assert gateway.announce(title) == 201


def positions(gateway, *titles: str) -> list[str]:
    """Announce something, and return where a client is after each."""
    with connected(gateway.url) as client:
        client.subscribe(CHANNEL)
        announce(gateway, *titles)
        return [client.receive()["position"] for _ in titles]


def resumed(gateway, position: str) -> tuple[dict, list[dict]]:
    """Return the answer to a client that comes back, and what it receives of what it missed."""
    with connected(gateway.url) as client:
        answer = client.ask(type="subscribe", channel=CHANNEL, position=position)
        return answer, [client.receive() for _ in range(answer.get("replayed", 1))]


def noticed(gateway, kept: str, lost: str, missed: list[str]) -> None:
    """Somebody who has seen what was lost is answered so; somebody who has not misses nothing."""
    answer, events = resumed(gateway, lost)
    assert (answer["recovered"], answer["reason"]) == (False, "topic_recreated"), answer
    assert events[0]["type"] == "snapshot"
    answer, events = resumed(gateway, kept)
    assert answer["recovered"], str(answer)
    assert [message["data"]["title"] for message in events] == missed


def back_up(log: Path, copy: Path) -> None:
    with closing(sqlite3.connect(log)) as db, closing(sqlite3.connect(copy)) as other:
        db.backup(other)


def put_back(copy: Path, log: Path) -> None:
    for rest in log.parent.glob(f"{log.name}-*"):
        rest.unlink()
    copy.replace(log)


def test_an_embedded_log_that_was_put_back_from_a_backup(start_gateway, tmp_path):
    first = start_gateway(**TOKEN)
    *_, kept = positions(first, "1", "2", "3")
    log = tmp_path / "mesaya-ws.sqlite3"
    back_up(log, tmp_path / "copy")
    *_, lost = positions(first, "4", "5")
    assert first.stop() == 0
    put_back(tmp_path / "copy", log)
    second = start_gateway(**TOKEN)
    announce(second, "6", "7", "8")
    noticed(second, kept, lost, ["6", "7", "8"])


def test_an_embedded_log_that_is_put_back_while_a_gateway_runs(start_gateway, tmp_path):
    """Whoever is subscribed begins anew, and receives what comes."""
    gateway, log = start_gateway(**TOKEN), tmp_path / "mesaya-ws.sqlite3"
    with connected(gateway.url) as subscriber:
        subscriber.subscribe(CHANNEL)
        *_, kept = positions(gateway, "1", "2", "3")
        back_up(log, tmp_path / "copy")
        *_, lost = positions(gateway, "4", "5")
        received = [subscriber.receive()["data"]["title"] for _ in range(5)]
        put_back(tmp_path / "copy", log)
        snapshot = subscriber.receive()
        assert (snapshot["type"], snapshot["recovered"], snapshot["reason"]) == ("snapshot", False, "topic_recreated")
        announce(gateway, "6", "7", "8")
        received += [subscriber.receive()["data"]["title"] for _ in "678"]
    assert received == list("12345678")
    assert gateway.metric("mesaya_log_truncations_total", topic=TOPIC) == 1
    assert gateway.health()["status"] == "ok"
    noticed(gateway, kept, lost, ["6", "7", "8"])


@pytest.mark.kafka
def test_a_kafka_that_has_lost_acknowledged_records(start_gateway, tmp_path):
    """One instance was there, and another one starts later, and does not begin with what a third one has left."""
    broker = Broker(tmp_path / "kafka")
    broker.start()
    try:
        create_topics(broker.address)
        kafka = {"KAFKA_BROKERS": broker.address}
        witness = start_gateway(**TOKEN, **kafka)
        with connected(witness.url) as subscriber:
            subscriber.subscribe(CHANNEL)
            *_, kept = positions(witness, "1", "2", "3")
            *_, lost = positions(witness, "4", "5")
            received = [subscriber.receive()["data"]["title"] for _ in range(5)]
            writer = start_gateway(**kafka, **STATE)
            writer.until(
                lambda: writer.metric("mesaya_checkpoint_age_seconds") > 0, PATIENCE, "a checkpoint has been written"
            )
            assert writer.stop() == 0
            broker.stop()
            broker.lose_end(TOPIC, 2)
            broker.start()
            snapshot = subscriber.receive()
            assert (snapshot["type"], snapshot["recovered"], snapshot["reason"]) == (
                "snapshot",
                False,
                "topic_recreated",
            )
            witness.until(lambda: witness.announce("6") == 201, 60, "the log takes something again")
            announce(witness, "7", "8")
            received += [subscriber.receive()["data"]["title"] for _ in "678"]
        assert received == list("12345678")
        assert witness.metric("mesaya_log_truncations_total", topic=TOPIC) == 1
        noticed(witness, kept, lost, ["6", "7", "8"])
        late = start_gateway(**kafka, **STATE, STATE_DIR=str(tmp_path / "late"))
        assert late.event("a checkpoint is of no use: the log is another one")
        noticed(late, kept, lost, ["6", "7", "8"])
    finally:
        broker.stop()
