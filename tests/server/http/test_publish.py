import json

import pytest

RECORD = {
    "topic": "mesa-ya.tables.events",
    "value": {
        "timestamp": "2026-01-20T18:00:00.000Z",
        "event_type": "updated",
        "entity_id": "t1",
        "data": {"id": "t1", "sectionId": "s1", "status": "OCCUPIED"},
    },
}
ANNOUNCEMENT = {"channel": "global:announcements", "type": "announcement.created", "data": {"title": "Hola"}}


async def test_a_platform_record_is_appended_as_it_came(service):
    answer = await service.post("/publish", RECORD)
    assert (answer.status, answer.json["topic"]) == (201, RECORD["topic"])
    [record] = service.records
    assert (record.topic, record.key, json.loads(record.value)) == (RECORD["topic"], None, RECORD["value"])


@pytest.mark.parametrize(("key", "appended"), [("k", b"k"), ("ñ", "ñ".encode()), (None, None)])
async def test_a_record_may_have_a_key(service, key, appended):
    assert (await service.post("/publish", RECORD | {"key": key})).status == 201
    assert service.records[0].key == appended


async def test_an_announcement_becomes_a_record(service):
    answer = await service.post("/publish", ANNOUNCEMENT)
    assert (answer.status, answer.json["topic"]) == (201, "mesa-ya.announcements.events")
    value = json.loads(service.records[0].value)
    assert (value["event_type"], value["data"]) == ("created", {"title": "Hola"})
    assert value["timestamp"].endswith("Z")


async def test_announcements_without_an_id_get_ids_of_their_own_and_others_keep_theirs(service):
    for data in ({}, {}, {"announcementId": "a1"}):
        assert (await service.post("/publish", ANNOUNCEMENT | {"data": data})).status == 201
    first, second, third = (json.loads(record.value)["entity_id"] for record in service.records)
    assert first != second
    assert third == "a1"


@pytest.mark.parametrize("type", ["announcement.updated", "announcement.deleted", "announcement.pinned"])
async def test_what_may_happen_to_an_announcement(service, type):
    body = ANNOUNCEMENT | {"type": type, "data": {"announcementId": "a1"}}
    assert (await service.post("/publish", body)).status == 201
    assert json.loads(service.records[0].value)["event_type"] == type.partition(".")[2]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "topic is missing"),
        ({"topic": "t"}, "value is missing"),
        (RECORD | {"topic": 5}, "topic must be text"),
        (RECORD | {"value": "text"}, "value must be an object"),
        (RECORD | {"key": 5}, "key must be text"),
        (ANNOUNCEMENT | {"channel": None}, "channel must be text"),
        (ANNOUNCEMENT | {"data": None}, "data must be an object"),
        (ANNOUNCEMENT | {"type": None}, "type must be text"),
        (ANNOUNCEMENT | {"channel": "restaurant:r1:tables"}, "as a platform record"),
        (ANNOUNCEMENT | {"type": "table.created"}, "as a platform record"),
        (ANNOUNCEMENT | {"type": "announcement"}, "event type"),
        (ANNOUNCEMENT | {"type": "announcement.NO WORD"}, "event type"),
        (ANNOUNCEMENT | {"data": {"announcementId": "no id"}}, "id"),
        (ANNOUNCEMENT | {"data": {"announcementId": 5}}, "id"),
    ],
)
async def test_incomplete_body_is_answered_with_what_is_wrong(service, body, said):
    answer = await service.post("/publish", body)
    assert answer.status == 422
    assert said in answer.sentence
    assert answer.sentence.endswith(".")
    assert service.records == []
