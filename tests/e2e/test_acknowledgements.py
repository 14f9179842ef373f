"""Acknowledged news, of two instances on either log."""

import pytest

from mesaya_ws.core.interactions.topics import ACKS
from tests.e2e.client import connected
from tests.e2e.command import produce, run
from tests.e2e.test_chat import next_of, restaurant, signed_in
from tests.kafka_broker import topic_configs

CHANNEL = "restaurant:r1:reservations"


def reservation(id: str) -> dict:
    data = {"restaurantId": "r1", "userId": "u1", "status": "PENDING"}
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": id, "data": data}
    return {"topic": "mesa-ya.reservations.events", "value": value}


def first_of_two_devices_counts_and_reminders_stop(start_gateway, folder, **log: str) -> None:
    settings = {**log, "ACK_REMIND": "1"}
    produce(folder, [restaurant("r1", "o1")], **log)
    one, other = start_gateway(**settings), start_gateway(**settings)
    with connected(one.url) as phone, connected(other.url) as tablet:
        for device in (phone, tablet):
            signed_in(device, "o1", "OWNER")
            device.subscribe(CHANNEL)
        produce(folder, [reservation("x1"), reservation("x2")], **log)
        for device in (phone, tablet):
            reminder = next_of(device, "reservation.reminder")
            assert reminder["data"]["n"] == 1
        for device in (phone, tablet):
            device.send(type="reservation.ack", reservationId="x1", id=1)
        answers = [next_of(device, "acknowledged") for device in (phone, tablet)]
        assert answers[0] == answers[1]
        assert answers[0]["by"] == "o1"
        reminded = []
        while (reminded or [None])[-1] != ("x2", 3):
            message = next_of(phone, "reservation.reminder")
            reminded.append((message["data"]["reservationId"], message["data"]["n"]))
        assert [n for id, n in reminded if id == "x2"] in ([1, 2, 3], [2, 3])
        phone.send(type="subscribe", channel=CHANNEL, snapshot=True)
        state = next_of(phone, "snapshot")["data"]
        assert [each["reservationId"] for each in state["acknowledged"]] == ["x1"]
    for gateway in (one, other):
        assert '"exception"' not in gateway.output


def test_first_of_two_devices_counts_on_the_embedded_log(start_gateway, tmp_path):
    first_of_two_devices_counts_and_reminders_stop(start_gateway, tmp_path)


@pytest.mark.kafka
def test_first_of_two_devices_counts_on_kafka(start_gateway, tmp_path, platform_topics):
    first_of_two_devices_counts_and_reminders_stop(start_gateway, tmp_path, KAFKA_BROKERS=platform_topics)
    assert topic_configs(platform_topics, ACKS)["message.timestamp.type"] == "LogAppendTime"
    assert run(tmp_path, "check", KAFKA_BROKERS=platform_topics, AUTH="off").returncode == 0
