"""What the ways in have in common, tried on `/publish`."""

import json

import pytest
import trio
import trio.testing

from mesaya_ws.core.wire.json_text import MAX_NODES
from mesaya_ws.server.http.request import BODY_SECONDS
from tests.fakes import LARGEST
from tests.server.http.client import ask, post, request, serve
from tests.server.http.service import TOKEN, Service

RECORD = {
    "topic": "mesa-ya.reviews.events",
    "value": {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "deleted", "entity_id": "v1"},
}
BODY = json.dumps(RECORD).encode()
BEARER = ("Authorization", f"Bearer {TOKEN}")


# Who may


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_whoever_bears_the_token_may(service, scheme):
    answer = await post(service.app, "/publish", RECORD, ("Authorization", f"{scheme} {TOKEN}"))
    assert answer.status == 201


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Authorization", ""),),
        (("Authorization", "Bearer"),),
        (("Authorization", "Bearer wrong"),),
        (("Authorization", f"Bearer {TOKEN}x"),),
        (("Authorization", f"Basic {TOKEN}"),),
        (("Authorization", TOKEN),),
        (("Authorization", "Bearer t\xf6ken"),),
    ],
)
async def test_whoever_does_not_may_not(service, headers):
    answer = await post(service.app, "/publish", RECORD, *headers)
    assert (answer.status, answer.error) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert service.records == []


@pytest.mark.parametrize("token", ["sécrèt", "voilà"])
async def test_a_token_may_hold_any_letters(token):
    service = Service(token=token)
    bearer = ("Authorization", f"Bearer {token}".encode().decode("latin-1"))
    assert (await post(service.app, "/publish", RECORD, bearer)).status == 201


async def test_nobody_may_when_there_is_no_token():
    service = Service(token="")
    for headers in ((), (("Authorization", "Bearer "),)):
        answer = await post(service.app, "/publish", RECORD, *headers)
        assert (answer.status, answer.error) == (403, "publish_disabled")


# Bodies


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"a": NaN}', b"[" * 5000])
async def test_what_is_no_json_object_is_refused(service, body):
    answer = await service.post("/publish", body)
    assert (answer.status, answer.error) == (400, "bad_json")
    assert answer.sentence.endswith(".")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(chunked):
    service = Service(max_body_bytes=1024)
    parts = [request("POST", "/publish", BEARER, body=b"x" * 1025)]
    if chunked:
        head = request("POST", "/publish", BEARER, ("Transfer-Encoding", "chunked"))
        parts = [head, *[b"200\r\n" + b"x" * 512 + b"\r\n"] * 3]
    answer = await ask(service.app, *parts, method="POST")
    assert (answer.status, answer.error) == (413, "body_too_large")


async def test_a_body_with_too_much_in_it_is_refused_unread(service):
    body = b'{"topic": "mesa-ya.reviews.events", "value": {"x": [' + b",".join([b"{}"] * MAX_NODES) + b"]}}"
    answer = await service.post("/publish", body)
    assert (answer.status, answer.error) == (413, "body_too_large")
    assert str(MAX_NODES) in answer.sentence


async def test_a_body_may_be_as_large_as_the_limit():
    service = Service(max_body_bytes=1024)
    body = BODY + b" " * (1024 - len(BODY))
    assert (await service.post("/publish", body)).status == 201


async def test_a_body_that_does_not_come_is_refused(service, autojump_clock):
    head = request("POST", "/publish", BEARER, ("Content-Length", "100"))
    answer = await ask(service.app, head, b"{", method="POST")
    assert (answer.status, answer.error) == (408, "body_too_late")
    assert trio.current_time() == pytest.approx(BODY_SECONDS)


async def test_no_body_is_read_of_whoever_may_not(service):
    answer = await ask(service.app, request("POST", "/publish", ("Content-Length", "1000000")), method="POST")
    assert answer.status == 401


# The log


async def test_publish_is_answered_with_the_place_once_acknowledged(service):
    for offset in range(2):
        answer = await service.post("/publish", RECORD)
        assert answer.status == 201
        assert answer.json == {"topic": RECORD["topic"], "partition": 0, "offset": offset}
    assert [json.loads(record.value) for record in service.records] == [RECORD["value"]] * 2


async def test_a_log_that_does_not_answer(service):
    with service.log.failing("Connection refused."):
        answer = await service.post("/publish", RECORD)
    assert (answer.status, answer.error) == (503, "log_unavailable")
    assert answer.sentence.endswith("may or may not have been appended. Connection refused.")
    assert (await service.post("/publish", RECORD)).status == 201


async def test_a_log_that_never_answers(autojump_clock):
    service = Service(append_timeout=5.0)
    service.log.hang()
    answer = await service.post("/publish", RECORD)
    assert (answer.status, answer.error) == (503, "log_unavailable")
    assert trio.current_time() == pytest.approx(5)


async def test_lost_acknowledgement_is_answered_as_such(service):
    with service.log.losing_acknowledgements():
        answer = await service.post("/publish", RECORD)
    assert (answer.status, answer.error) == (503, "log_unavailable")
    assert len(service.records) == 1


async def test_a_record_that_the_log_refuses():
    service = Service(max_body_bytes=3 * LARGEST)
    value = RECORD["value"] | {"data": {"comment": "x" * LARGEST}}
    answer = await service.post("/publish", RECORD | {"value": value})
    assert (answer.status, answer.error) == (422, "refused")
    assert "too large" in answer.sentence


async def test_a_client_that_leaves_does_not_break_the_log(service, monkeypatch):
    begun = trio.Event()

    async def append(records):
        begun.set()
        await trio.sleep_forever()

    client, ours = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as patched:
            patched.setattr(service.log, "append", append)
            nursery.start_soon(serve, service.app, ours)
            await client.send_all(request("POST", "/publish", BEARER, body=BODY))
            await begun.wait()
        await client.aclose()
        assert (await post(service.app, "/publish", RECORD, BEARER)).status == 201
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"topic": "another.topic"}, "unknown_topic"),
        ({"value": {}}, "bad_record"),
        ({"value": {"event_type": "exploded", "entity_id": "v1"}}, "bad_record"),
        ({"value": {"event_type": "deleted", "entity_id": "no id"}}, "bad_record"),
        ({"value": {"event_type": "deleted", "entity_id": "v1", "data": []}}, "bad_record"),
        ({"value": {"event_type": "created", "entity_id": "v1", "data": {"restaurantId": 5}}}, "bad_record"),
    ],
)
async def test_what_would_come_to_nothing_is_refused(service, changes, code):
    answer = await service.post("/publish", RECORD | changes)
    assert (answer.status, answer.error) == (422, code)
    assert answer.sentence.endswith(".")
    assert service.records == []


async def test_what_is_nested_too_deeply_is_refused(service):
    body = b'{"topic": "%s", "value": {"event_type": "deleted", "entity_id": "v1", "data": %s}}' % (
        RECORD["topic"].encode(),
        b'{"a":' * 500 + b"1" + b"}" * 500,
    )
    answer = await service.post("/publish", body)
    assert (answer.status, answer.error) == (422, "bad_message")
