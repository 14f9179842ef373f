"""What no record has named is asked from the platform's API, and sent to clients, from either log."""

from contextlib import closing

import pytest

from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from tests.backend import restaurant, serving
from tests.e2e.client import connected
from tests.e2e.command import produce, run
from tests.kafka_broker import topic_configs

PLAN = "restaurant:R:tables"


def occupied(table: str, section: str) -> dict:
    value = {"event_type": "updated", "entity_id": table, "data": {"sectionId": section, "status": "OCCUPIED"}}
    return {"topic": topic_of("tables"), "value": {"timestamp": "2026-01-20T18:00:00.000Z", **value}}


def seeded_rows_are_sent(start_gateway, folder, **log: str) -> None:
    with serving(restaurant("other", "o"), restaurant("R", "s", tables=2)) as backend:
        # However slow this machine is, both wait for the answer, and so take the records in the same order.
        settings = {**log, "PLATFORM_API_URL": backend.url, "PARENT_TIMEOUT": "60"}
        one, other = start_gateway(**settings), start_gateway(**settings)
        with connected(one.url) as client:
            client.subscribe(PLAN)
            produce(folder, [occupied("s-2", "s")], **log)
            section = client.receive()
            # It carries the table, too, unless that could wait for it.
            assert section["type"] == "section.created", section
            assert {table["tableId"] for table in section["data"]["tables"]} == {"s-1", "s-2"}
            produce(folder, [occupied("s-1", "s")], **log)
            table = client.receive()
            if table["data"]["tableId"] == "s-2":
                table = client.receive()
            assert (table["type"], table["data"]["tableId"], table["data"]["status"]) == (
                "table.updated",
                "s-1",
                "occupied",
            )
            assert table["data"]["capacity"] == 4
        with connected(other.url) as client:
            answer = client.ask(type="subscribe", channel=PLAN, position=section["position"])
            assert answer["recovered"] is True, answer
            state = client.ask(type="subscribe", channel=PLAN, snapshot=True)
            while state["type"] != "snapshot":
                state = client.receive()
        assert {table["tableId"]: table["status"] for table in state["data"]["tables"]} == dict.fromkeys(
            ("s-1", "s-2"), "occupied"
        )
        assert all("/restaurants?page=1" in target for target in backend.asked)
        assert 1 <= len(backend.asked) <= 2
        assert run(folder, "check", **settings).returncode == 0


def who_waited_is_not_believed_by_who_did_not(start_gateway, folder, **log: str) -> None:
    """Move from an instance that waited for a section to one that gave up: they took two records in another order.

    A position between the two is no place in the history of the other instance; it says so, and sends the state.
    """
    plan = "restaurant:R2:tables"
    with serving(restaurant("R2", "z", tables=2)) as backend:
        settings = {**log, "PLATFORM_API_URL": backend.url}
        patient, hasty = (start_gateway(**settings, PARENT_TIMEOUT=wait) for wait in ("60", "0"))
        with connected(patient.url) as client:
            client.subscribe(plan)
            produce(folder, [occupied("z-2", "z")], **log)
            section, table = client.receive(), client.receive()
            assert (section["type"], table["type"]) == ("section.created", "table.updated"), (section, table)
        with connected(hasty.url) as client:
            answer = client.ask(type="subscribe", channel=plan, position=section["position"])
            assert (answer["recovered"], answer["reason"]) == (False, "inconsistent_position"), answer
            state = client.receive()
            tables = {table["tableId"]: table.get("status") for table in state["data"]["tables"]}
            assert tables == {"z-1": None, "z-2": "occupied"}, state


def test_with_the_embedded_log(start_gateway, tmp_path):
    seeded_rows_are_sent(start_gateway, tmp_path)


@pytest.mark.kafka
def test_with_kafka(start_gateway, tmp_path, platform_kafka):
    from kafka import KafkaAdminClient

    from mesaya_ws.core.platform.topics import TOPICS

    with closing(KafkaAdminClient(bootstrap_servers=platform_kafka)) as admin:
        admin.create_topics({topic: {"num_partitions": 1} for topic in TOPICS}, wait_for_metadata=True)
        seeded_rows_are_sent(start_gateway, tmp_path, KAFKA_BROKERS=platform_kafka)
        who_waited_is_not_believed_by_who_did_not(start_gateway, tmp_path, KAFKA_BROKERS=platform_kafka)
    assert topic_configs(platform_kafka, PARENTS_TOPIC)["retention.ms"] == "-1", "what was found stays"
