"""The sample records of the platform, from their producer to the clients: what arrives is what is expected, exactly."""

import json
from typing import NamedTuple

import pytest

from mesaya_ws.core.platform.topics import TOPICS
from tests.e2e.client import Client, Message, connected, without_position
from tests.e2e.command import produce
from tests.e2e.node import Program, running_node
from tests.oracle import DATA, SAMPLES
from tests.timing import PATIENCE

LAST = {
    "topic": "mesa-ya.announcements.events",
    "value": {
        "timestamp": "2026-12-01T00:00:00.000Z",
        "event_type": "created",
        "entity_id": "the-end",
        "data": {"text": "Nothing comes after this."},
    },
}
# One client sees everything: it may subscribe to all channels, at once.
ONE_SEES_ALL = {"MAX_SUBSCRIPTIONS": "1000", "MESSAGES_PER_SECOND": "1000"}


class Sample(NamedTuple):
    """The records of a sample file, and the messages that each must become, in the order of their channels' names."""

    records: list[dict]
    messages: list[list[Message]]

    @property
    def channels(self) -> list[str]:
        """All channels that carry some of the messages, and that of announcements, where the last word is said."""
        return sorted(
            {message["channel"] for messages in self.messages for message in messages} | {"global:announcements"}
        )


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Sample:
    def lines(name: str) -> list[dict]:
        return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]

    return Sample(lines(request.param), [line["messages"] for line in lines(f"expected_{request.param}")])


def test_samples_through_the_embedded_log(start_gateway, tmp_path, sample):
    gateway = start_gateway(**ONE_SEES_ALL)
    with connected(gateway.url) as client:
        client.subscribe(*sample.channels)
        produce(tmp_path, sample.records)
        received = [client.receive() for messages in sample.messages for _ in messages]
        produce(tmp_path, [LAST])
        receives_the_last_word(client)
    # The order holds on each channel; between channels, there is none.
    for channel in sample.channels:
        assert [without_position(message) for message in received if message["channel"] == channel] == [
            message for messages in sample.messages for message in messages if message["channel"] == channel
        ]
    assert gateway.metric("mesaya_records_total") == len(sample.records) + 1


@pytest.mark.kafka
def test_samples_through_kafka(start_gateway, platform_kafka, sample):
    # A topic is a source of its own: only what arrives before the next record is produced is sure to be taken in the
    # order of the file, and a record whose parent comes late in the file must not wait for it.
    settings = {"KAFKA_BROKERS": platform_kafka, "PARENT_TIMEOUT": "0", **ONE_SEES_ALL}
    # Two instances, and both receive everything; they run before there is any topic.
    gateways = [start_gateway(**settings), start_gateway(**settings)]
    with (
        connected(gateways[0].url) as one,
        connected(gateways[1].url) as other,
        running_node("produce.js", platform_kafka, *TOPICS) as producer,
    ):
        for client in (one, other):
            client.subscribe(*sample.channels)
        for number, (record, messages) in enumerate(zip(*sample, strict=True), start=1):
            emit(producer, record)
            for client in (one, other):
                received = [without_position(client.receive()) for _ in messages]
                assert sorted(received, key=lambda message: message["channel"]) == messages, f"record {number}"
            if not messages:
                for gateway in gateways:
                    has_read(gateway, number)
        emit(producer, LAST)
        for client in (one, other):
            receives_the_last_word(client)


def emit(producer: Program, record: dict) -> None:
    """Hand a record to `produce.js`, and return when Kafka has acknowledged it."""
    producer.say([record])
    producer.next("acknowledged")


def has_read(gateway, count: int) -> None:
    """Return when the gateway has read that many records."""
    gateway.until(lambda: gateway.metric("mesaya_records_total") == count, PATIENCE, f"it has read record {count}")


def receives_the_last_word(client: Client) -> None:
    """See that the next message is what was produced last: none that came before it were too many."""
    message = client.receive()
    assert (message["type"], message["data"]["announcementId"]) == ("announcement.created", "the-end")
