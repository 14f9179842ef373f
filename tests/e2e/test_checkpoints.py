"""An instance that starts from a checkpoint shows what one shows that has read the whole log, from either log."""

import json
from contextlib import closing

import pytest

from mesaya_ws.core.platform.topics import TOPICS
from tests.e2e.client import connected
from tests.e2e.command import produce, run
from tests.oracle import DATA
from tests.timing import PATIENCE

STATE = {"CHECKPOINT_TOPIC": "test.state", "WINDOW_SECONDS": "1"}
RECORDS = [json.loads(line) for line in (DATA / "captured.jsonl").read_text().splitlines()]
CHANNELS = sorted(
    {
        message["channel"]
        for line in (DATA / "expected_captured.jsonl").read_text().splitlines()
        for message in json.loads(line)["messages"]
    }
)


@pytest.fixture
def kafka(platform_kafka: str) -> str:
    """The address of a Kafka with the platform's topics, all of them empty."""
    from kafka import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=platform_kafka)) as admin:
        admin.create_topics({topic: {"num_partitions": 2} for topic in TOPICS}, wait_for_metadata=True)
    return platform_kafka


def states(gateway) -> list[dict]:
    """Return the state of all channels that have one of their own, each as of its position."""
    with connected(gateway.url) as client:
        return [
            client.ask(type="subscribe", channel=channel, snapshot=True) and client.receive()
            for channel in CHANNELS
            if not channel.endswith("notifications")
        ]


def the_second_starts_from_the_first_ones_checkpoint(start_gateway, folder, **log: str) -> None:
    produce(folder, RECORDS[:50], **log)
    gateway = start_gateway(**log, **STATE)
    gateway.until(lambda: gateway.metric("mesaya_checkpoint_rows"), PATIENCE, "a checkpoint has been written")
    assert gateway.stop() == 0
    produce(folder, RECORDS[50:], **log)
    second, reader = start_gateway(**log, **STATE), start_gateway(**log)
    assert second.event("restored from a checkpoint")["rows"] > 10
    assert second.metric("mesaya_records_total") == len(RECORDS) - 50
    assert reader.metric("mesaya_records_total") == len(RECORDS)
    assert states(second) == states(reader)


def test_with_the_embedded_log(start_gateway, tmp_path):
    the_second_starts_from_the_first_ones_checkpoint(start_gateway, tmp_path)
    assert run(tmp_path, "check", **STATE).returncode == 0


@pytest.mark.kafka
def test_with_kafka(start_gateway, tmp_path, kafka):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    the_second_starts_from_the_first_ones_checkpoint(start_gateway, tmp_path, KAFKA_BROKERS=kafka)
    assert run(tmp_path, "check", KAFKA_BROKERS=kafka, **STATE).returncode == 0
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "test.state", {"cleanup.policy": "delete"})])
    checked = run(tmp_path, "check", KAFKA_BROKERS=kafka, **STATE)
    assert checked.returncode == 1
    assert "test.state only grows: give it cleanup.policy=compact." in checked.stderr
