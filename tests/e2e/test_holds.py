"""Table holds, of two instances on either log."""

import time
from contextlib import ExitStack

import pytest

from mesaya_ws.core.interactions.topics import HOLDS
from tests.e2e.client import connected
from tests.e2e.command import produce, run
from tests.e2e.test_chat import restaurant, signed_in
from tests.kafka_broker import create_topics, topic_configs

SECONDS, LONG = 12, 600
"""How long a hold lasts that is to expire, and one that is to be there when several commands have been run, also on a
busy machine: each instance has its own."""

PLAN, DESK = "restaurant:r1:tables", "restaurant:r1:reservations"


def next_of(client, *kinds: str, id: str | None = None) -> dict:
    """Return the next message of these types, in answer to that of the client's with this id; else of no one's."""
    while (message := client.receive())["type"] not in kinds or message.get("id") != id:
        pass
    return message


def select(client, hold: str, *tables: str, **fields) -> dict:
    """Claim tables, and return the answer; as long as there is none, again."""
    while True:
        fields = {"restaurantId": "r1", "tableIds": tables, "holdId": hold, "id": hold, **fields}
        client.send(type="table.select", **fields)
        answer = next_of(client, "selected", "error", "released", id=hold)
        if answer.get("code") not in ("unavailable", "rate_limited", "unknown_restaurant"):
            return answer
        time.sleep(0.1)


def reservation(id: str, **fields: str) -> dict:
    data = {"restaurantId": "r1", "status": "PENDING", **fields}
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": id, "data": data}
    return {"topic": "mesa-ya.reservations.events", "value": value}


def holds_from_select_to_end(start_gateway, folder, **log: str) -> None:
    settings = {**log, "HOLD_RECONNECT": "1"}
    produce(folder, [restaurant("r1", "o1")], **log)
    one, other = (start_gateway(**settings, HOLD_SECONDS=str(seconds)) for seconds in (SECONDS, LONG))
    with connected(one.url) as guest, connected(other.url) as rival, connected(other.url) as owner:
        signed_in(guest, "u1")
        signed_in(rival, "u2")
        signed_in(owner, "o1", "OWNER")
        for channel in (PLAN, DESK):
            owner.subscribe(channel)
        first = select(guest, "h1", "t1", "t2", **{"from": "2027-01-22T19:00:00Z"})
        assert (first["type"], first["tableIds"]) == ("selected", ["t1", "t2"])
        assert 0 < first["expiresIn"] <= SECONDS
        refused = select(rival, "h2", "t2", **{"from": "2027-01-22T20:00:00Z"})
        assert (refused["code"], refused["until"]) == ("conflict", first["expiresAt"])
        assert next_of(owner, "hold.created")["data"]["userId"] == "u1"
        # The time between two slots is free.
        later = select(rival, "h3", "t2", **{"from": "2027-01-22T20:30:00Z"})
        assert later["type"] == "selected"
        assert later["token"] > first["token"]
        with connected(other.url) as anybody:
            anybody.send(type="subscribe", channel=PLAN, snapshot=True)
            held = next_of(anybody, "snapshot")["data"]["holds"]
            assert [each["tableIds"] for each in held][-1:] == [["t2"]]
            assert all(0 < each["expiresIn"] <= LONG for each in held)
            assert "u1" not in str(held)
        began = time.monotonic()
        assert next_of(guest, "released")["reason"] == "expired"
        assert time.monotonic() - began < SECONDS + 30
        produce(folder, [reservation("x1", tableId="t2", userId="u2")], **log)
        assert next_of(rival, "released")["reason"] == "reserved"
        again = select(rival, "h4", "t1")
        assert again["type"] == "selected"
        produce(folder, [reservation("x2", tableId="t1", userId="u2")], **log)
        assert next_of(rival, "released")["reason"] == "reserved"
        # The other instance may not have read yet that it has ended, and refuses by what it knows.
        while (last := select(guest, "h5", "t1")).get("code") == "conflict":
            time.sleep(0.05)
        assert last["type"] == "selected", last
        guest.send(type="table.release", holdId="h5", id="r")
        assert next_of(guest, "released", id="r")["reason"] == "released"
        assert select(guest, "h6", "t1")["type"] == "selected"
    with connected(other.url) as owner:
        signed_in(owner, "o1", "OWNER")
        owner.subscribe(DESK)
        while (ended := next_of(owner, "hold.ended")["data"])["holdId"] != "h6":
            pass
        assert ended["reason"] == "disconnected"
    for gateway in (one, other):
        assert '"exception"' not in gateway.output


def test_holds_from_select_to_end_on_the_embedded_log(start_gateway, tmp_path):
    holds_from_select_to_end(start_gateway, tmp_path)


def test_of_guests_on_several_workers_one_has_the_table(start_gateway, tmp_path):
    produce(tmp_path, [restaurant("r1", "o1")])
    gateway = start_gateway(WORKERS="2", HOLD_SECONDS="8")
    with ExitStack() as stack:
        guests = [stack.enter_context(connected(gateway.url)) for _ in range(8)]
        for number, guest in enumerate(guests):
            signed_in(guest, f"u{number}")
        select(guests[0], "warm", "t0")
        for number, guest in enumerate(guests[1:], 1):
            guest.send(type="table.select", restaurantId="r1", tableIds=["t1"], holdId=f"h{number}", id="x")
        answers = [next_of(guest, "selected", "error", id="x") for guest in guests[1:]]
        assert sorted(answer.get("code", "selected") for answer in answers) == ["conflict"] * 6 + ["selected"]
        [winner] = [guest for guest, answer in zip(guests[1:], answers, strict=True) if answer["type"] == "selected"]
        assert next_of(winner, "released")["reason"] == "expired"


@pytest.mark.kafka
def test_holds_from_select_to_end_on_kafka(start_gateway, tmp_path, platform_topics):
    holds_from_select_to_end(start_gateway, tmp_path, KAFKA_BROKERS=platform_topics)
    assert topic_configs(platform_topics, HOLDS)["message.timestamp.type"] == "LogAppendTime"
    assert run(tmp_path, "check", KAFKA_BROKERS=platform_topics, AUTH="off").returncode == 0


@pytest.mark.kafka
def test_claim_in_an_outage_is_unavailable_and_its_retry_is_one_hold(start_gateway, tmp_path, kafka_broker):
    create_topics(kafka_broker.address)
    produce(tmp_path, [restaurant("r1", "o1")], KAFKA_BROKERS=kafka_broker.address)
    one, other = (start_gateway(KAFKA_BROKERS=kafka_broker.address) for _ in range(2))
    with connected(one.url) as guest, connected(other.url) as owner:
        signed_in(guest, "u1")
        signed_in(owner, "o1", "OWNER")
        owner.subscribe(DESK)
        assert select(guest, "h0", "t0")["type"] == "selected"
        kafka_broker.freeze()
        began = time.monotonic()
        guest.send(type="table.select", restaurantId="r1", tableIds=["t1"], holdId="h1", id="h1")
        assert next_of(guest, "error", id="h1")["code"] == "unavailable"
        assert 5 < time.monotonic() - began < 40
        kafka_broker.thaw()
        answer = select(guest, "h1", "t1")
        assert answer["type"] in ("selected", "released"), answer
        if answer["type"] == "released":  # the first claim was taken back before the retry was in the log
            assert answer["reason"] == "abandoned"
            assert select(guest, "h2", "t1")["type"] == "selected"
        begun = {next_of(owner, "hold.created")["data"]["holdId"] for _ in range(1 + (answer["type"] == "selected"))}
        assert begun >= {"h0"}
