import pytest

from mesaya_ws.runtime.clocks import now_ms
from tests.server.http.client import post
from tests.server.http.service import Service


async def test_revoke_answers_once_it_is_in_the_log(service):
    answer = await service.post("/revoke", {"user": "u1", "before": 1000})
    assert (answer.status, answer.json) == (200, {"user": "u1", "before": 1000})
    assert [record.value for record in service.records] == [b"u1 1000"]


async def test_revoke_is_as_of_now_and_answers_what_holds_in_the_end(service):
    before = now_ms()
    answer = await service.post("/revoke", {"user": "u1"})
    assert before <= answer.json["before"] <= now_ms()
    assert (await service.post("/revoke", {"user": "u2", "before": None})).json["before"] == 1_900_000_000_000


async def test_revoke_wants_the_token(service):
    answer = await post(service.app, "/revoke", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"], service.records) == (401, "unauthorized", [])
    closed = Service(token="")
    answer = await closed.post("/revoke", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"]) == (403, "publish_disabled")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": ""},
        {"user": "a b"},
        {"user": 1},
        {"user": "u1", "before": "now"},
        {"user": "u1", "before": 0},
        {"user": "u1", "before": -1},
        {"user": "u1", "before": 10**15},
        {"user": "u1", "before": True},
        {"user": "u1", "before": 1.5},
    ],
)
async def test_revoke_refuses_what_it_does_not_understand(service, body):
    answer = await service.post("/revoke", body)
    assert (answer.status, answer.json["error"]["code"], service.records) == (422, "bad_message", [])


async def test_revoke_says_when_the_log_does_not_answer(service):
    with service.log.failing():
        answer = await service.post("/revoke", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"]) == (503, "log_unavailable")


async def test_revoke_says_when_no_tokens_are_verified():
    answer = await Service(revokes=False).post("/revoke", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
    assert "nothing to revoke" in answer.json["error"]["message"]
