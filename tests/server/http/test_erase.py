import pytest

from mesaya_ws.core.interactions.chat_records import Erased, read_chat_record
from mesaya_ws.core.interactions.topics import CHAT
from tests.server.http.client import post


async def test_erase_appends_the_record_at_which_all_forget(service):
    answer = await service.post("/erase", {"user": "u1"})
    assert (answer.status, answer.json["topic"]) == (201, CHAT)
    [record] = service.records
    assert record.key == b"u1"
    assert read_chat_record(record) == Erased("u1")


async def test_erase_wants_the_token(service):
    answer = await post(service.app, "/erase", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"], service.records) == (401, "unauthorized", [])


@pytest.mark.parametrize("body", [{}, {"user": ""}, {"user": "a b"}, {"user": 1}])
async def test_erase_refuses_what_it_does_not_understand(service, body):
    answer = await service.post("/erase", body)
    assert (answer.status, answer.json["error"]["code"], service.records) == (422, "bad_message", [])


async def test_erase_says_when_the_log_does_not_answer(service):
    with service.log.failing():
        answer = await service.post("/erase", {"user": "u1"})
    assert (answer.status, answer.json["error"]["code"]) == (503, "log_unavailable")
