"""Clocks that are wrong, and are set while it runs, change nothing of what clients receive.

The gateway runs under libfaketime, which lies about the time of day and not about how time passes; its producers bear
the times that they like.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.client import Client, connected
from tests.e2e.command import produce as append
from tests.e2e.test_chat import CONVERSATION, next_of, published, restaurant, signed_in, written
from tests.timing import PATIENCE

MINUTES, DAY = 300, 86_400
CHANNEL = "global:announcements"
PLAN = "restaurant:r1:tables"
SETTINGS = {"PUBLISH_TOKEN": "a token of these tests, and of no others", "PARENT_TIMEOUT": "1"}
LIBRARIES = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), *Path("/usr/lib/faketime").glob("libfaketime.so.1")]

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing: apt-get install faketime")


SLEEP = """
import select, time
time.sleep = lambda seconds: (select.select([], [], [], seconds), None)[1]
"""
"""Python sleeps until a moment (clock_nanosleep, TIMER_ABSTIME), and libfaketime 0.9.10 fails that with EINVAL when the
moment has passed already, as on a busy machine."""


class Clock:
    """The gateway's time of day, `ahead` of the true one by so many seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "time"
        self._python = folder / "python"
        self._python.mkdir()
        (self._python / "sitecustomize.py").write_text(SLEEP)
        self.set(0)

    def set(self, ahead: int) -> None:
        """Set the clock, at once."""
        self.ahead = ahead
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{ahead:+d}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that goes by this clock."""
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(self._python),
        }

    def now(self) -> float:
        """Return what it shows, in milliseconds since the epoch."""
        return (time.time() + self.ahead) * 1000


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def as_of(client: Client, clock: Clock) -> float:
    """Return by how many seconds what a client is answered to be complete lies before the present."""
    return (clock.now() - client.ask(type="ping")["asOf"]) / 1000


def is_right(client: Client, clock: Clock) -> None:
    """Up to when the channels are complete is recent, and not in the future, after the next look at the latest."""
    deadline = time.monotonic() + PATIENCE
    while not -0.05 < (lag := as_of(client, clock)) < 5:
        assert time.monotonic() < deadline, f"asOf lies {lag} s back"
        time.sleep(0.1)


@pytest.mark.parametrize("ahead", [-MINUTES, MINUTES])
def test_a_gateways_clock_is_wrong_and_is_set_right_and_wrong_again(start_gateway, clock: Clock, ahead: int):
    clock.set(ahead)
    gateway = start_gateway(**SETTINGS, **clock.environment, CHECKPOINT_TOPIC="test.state", WINDOW_SECONDS="3")
    with connected(gateway.url) as client:
        position = client.subscribe(CHANNEL)[CHANNEL]
        for number, step in enumerate((ahead, 0, -ahead, ahead)):
            clock.set(step)
            is_right(client, clock)
            assert gateway.announce(f"{number}") == 201
            event = client.receive()
            assert event["data"]["title"] == f"{number}"
            with connected(gateway.url) as other:
                answer = other.ask(type="subscribe", channel=CHANNEL, position=position)
                assert (answer["recovered"], answer["replayed"]) == (True, 1), answer
                assert other.receive() == event
            position = event["position"]
    assert gateway.metric("mesaya_readings_total") == 0, "all of it was in the window"
    gateway.until(
        lambda: gateway.metric("mesaya_checkpoint_rows") > 0 and gateway.metric("mesaya_checkpoint_age_seconds") < 10,
        PATIENCE,
        "a checkpoint is written, whatever the clock says",
    )


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[str]:
    """A Kafka that takes records of any time."""
    from tests.kafka_broker import Broker, create_topics

    broker = Broker(tmp_path / "kafka", properties={"log.message.timestamp.after.max.ms": str(2**63 - 1)})
    broker.start()
    create_topics(broker.address)
    yield broker.address
    broker.stop()


@pytest.fixture
def produce(kafka: str) -> Iterator[Callable[..., None]]:
    """Send records of an entity, whose producer's clock is ahead by so many seconds."""
    from kafka import KafkaProducer

    with closing(KafkaProducer(bootstrap_servers=kafka)) as producer:

        def send(entity: str, *ids: str, ahead: int, **data: str) -> None:
            futures = [
                producer.send(
                    f"mesa-ya.{entity}.events",
                    json.dumps({"event_type": "created", "entity_id": id, "data": {"id": id, **data}}).encode(),
                    partition=0,
                    timestamp_ms=round((time.time() + ahead) * 1000),
                )
                for id in ids
            ]
            for future in futures:
                future.get(PATIENCE)

        yield send


@pytest.mark.kafka
def test_wait_for_a_parent_is_independent_of_all_wall_clocks(start_gateway, clock: Clock, kafka: str, produce):
    gateway = start_gateway(**SETTINGS, **clock.environment, KAFKA_BROKERS=kafka)
    with connected(gateway.url) as client:
        client.subscribe(PLAN)
        produce("sections", "s1", ahead=0, restaurantId="r1")
        assert client.receive()["type"] == "section.created"
        number = 0
        for theirs in (-DAY, 0, DAY):
            for ours in (-MINUTES, MINUTES):
                clock.set(ours)
                number += 1
                orphans = [f"orphan-{number}-{one}" for one in range(30)]
                for one, orphan in enumerate(orphans):
                    produce("tables", orphan, ahead=theirs, sectionId=f"unknown-{number}-{one}")
                started = time.monotonic()
                produce("tables", f"known-{number}", ahead=theirs, sectionId="s1")
                clock.set(-ours)
                while (event := client.receive()).get("data", {}).get("tableId") != f"known-{number}":
                    assert event["type"] == "table.created", event
                took = time.monotonic() - started
                assert took < 20, f"it waited {took:.1f} s, with producers {theirs} s ahead"
                is_right(client, clock)
    assert gateway.metric("mesaya_delivery_seconds_sum") < DAY, "a day is not believed"


def test_what_was_said_is_known_for_30_days_of_the_log_whatever_a_gateways_own_clock_says(
    start_gateway, tmp_path: Path, clock: Clock
):
    append(tmp_path, [restaurant("r1", "o1")])
    # On the embedded log, a record bears the time of who appends it.
    travelling, staying = start_gateway(**clock.environment), start_gateway()
    with connected(travelling.url) as guest, connected(staying.url) as other:
        signed_in(guest, "u1")
        signed_in(other, "u1")
        other.subscribe(CONVERSATION)
        first = written(guest, "m1", "Hello")
        clock.set(25 * 3600)
        assert written(guest, "m1", "Hello")["position"] == first["position"]
        assert published(guest, "m1", "Good evening")["code"] == "conflict"
        written(guest, "m2", "a day later")
        clock.set(31 * DAY)
        written(guest, "m3", "a month later")
        while next_of(other, "chat.message")["data"]["messageId"] != "m3":
            pass
        for client in (guest, other):
            known = client.ask(type="history", channel=CONVERSATION)
            assert [each["messageId"] for each in known["messages"]] == ["m2", "m3"]
        written(guest, "m1", "Good evening")  # its id is not known any more
