"""Table holds by HTTP, as the platform's backend asks for them."""

import pytest
import trio
import trio.testing
import typed_settings as ts
from starlette.applications import Starlette

from mesaya_ws.core.interactions.hold import Ended
from mesaya_ws.core.interactions.hold_records import Release
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.session.commands import Turn
from mesaya_ws.server.http.errors import ApiError, answer_api_error
from mesaya_ws.server.http.holds import hold_routes
from mesaya_ws.settings import Settings
from tests.core.session.test_holds import Place
from tests.server.http.client import ask, post, request

TOKEN = "a token of the tests"
HOLD = {"user": "u1", "restaurantId": "r1", "tableIds": ["t1"], "holdId": "h1"}


class Desk:
    """An instance that is asked by HTTP; its records are appended when they come, and read unless it `is_slow`."""

    def __init__(self):
        self.place = Place()
        self.replica = self.place.replicas[0]
        self.failure = None
        self.is_slow = False
        self.pending = []
        settings = Settings(publish_token=ts.SecretStr(TOKEN))
        routes = hold_routes(settings, self.replica.holds, self.replica.feed, self.append)
        self.app = Starlette(routes=routes, exception_handlers={ApiError: answer_api_error})

    def append(self, requester, command):
        if self.failure is not None:
            requester.on_appended(command, self.failure)
            return
        assert command.turn() is Turn.DUE
        place = self.place.log.append(command.record.topic, command.record.value, command.record.key)
        self.pending.append((requester, command, place))
        if not self.is_slow:
            self.settle()

    def settle(self):
        self.place.settle()
        pending, self.pending = self.pending, []
        for requester, command, place in pending:
            requester.on_appended(command, place)

    async def post(self, token=TOKEN, **fields):
        body = {name: value for name, value in (HOLD | fields).items() if value is not None}
        return await post(self.app, "/holds", body, ("Authorization", f"Bearer {token}"))

    async def delete(self, hold="h1", query="", token=TOKEN):
        asked = request("DELETE", f"/holds/{hold}{query}", ("Authorization", f"Bearer {token}"))
        return await ask(self.app, asked, method="DELETE")

    def hold(self, id="h1"):
        return self.replica.feed.known.hold_outcome(id).hold


@pytest.fixture
def desk():
    return Desk()


async def test_hold_is_granted_and_so_is_its_repetition(desk):
    answer = await desk.post(**{"from": "2027-01-22T19:00:00Z"})
    assert answer.status == 201
    assert {**answer.json, "expiresAt": "", "expiresIn": 0} == {
        "holdId": "h1",
        "tableIds": ["t1"],
        "from": "2027-01-22T19:00:00.000Z",
        "to": "2027-01-22T20:30:00.000Z",
        "token": 0,
        "expiresAt": "",
        "expiresIn": 0,
    }
    again = await desk.post(**{"from": "2027-01-22T19:00:00Z"})
    assert (again.status, again.json["token"]) == (201, 0)
    assert len(desk.place.records()) == 1
    assert desk.hold().attached.keys() == {"a.http"}, "no connection of the user ends it"


async def test_others_learn_until_when_it_is_taken(desk):
    first = await desk.post()
    answer = await desk.post(user="u2", holdId="h2")
    error = answer.json["error"]
    assert (answer.status, error["code"], error["until"]) == (409, "conflict", first.json["expiresAt"])
    assert 299 <= error["expiresIn"] <= 300
    for number in (3, 4):
        answer = await desk.post(holdId=f"h{number}", tableIds=[f"x{number}"])
    assert (answer.status, answer.json["error"]["code"]) == (409, "too_many")


async def test_hold_is_ended_by_its_user_or_by_the_service_once_and_for_all(desk):
    await desk.post()
    answer = await desk.delete(query="?user=u2")
    assert (answer.status, answer.json["error"]["code"], desk.hold().ended) == (404, "not_found", None)
    answer = await desk.delete(query="?user=u1")
    assert (answer.status, answer.json["reason"], desk.hold().ended) == (200, "released", Ended.RELEASED)
    written = len(desk.place.records())
    assert (await desk.delete()).json == answer.json
    assert (await desk.delete(query="?user=u2")).status == 404, "also of one that has ended"
    assert len(desk.place.records()) == written
    answer = await desk.post()
    assert (answer.status, answer.json["error"]["code"], answer.json["error"]["reason"]) == (
        409,
        "hold_ended",
        "released",
    )
    await desk.post(holdId="h2")
    assert (await desk.delete("h2")).json["reason"] == "released"
    assert desk.place.records()[-1] == Release("h2", None, "released")


async def test_release_is_known_to_be_on_its_way_until_it_is_answered(desk):
    await desk.post()
    desk.is_slow = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.delete)
        await trio.testing.wait_all_tasks_blocked()
        assert desk.replica.holds.releasing.keys() == {"h1"}
        desk.settle()
    assert desk.replica.holds.releasing == {}


async def test_hold_that_nobody_knows_is_not_found(desk):
    answer = await desk.delete("h9")
    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
    assert desk.place.records() == [Release("h9", None, "released")], "its claim may be on its way"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"user": "a b"}, "bad_message"),
        ({"user": None}, "bad_message"),
        ({"holdId": "a b"}, "bad_message"),
        ({"tableIds": []}, "bad_message"),
        ({"tableIds": "t1"}, "bad_message"),
        ({"from": "tomorrow"}, "bad_message"),
        ({"from": 5}, "bad_message"),
        ({"restaurantId": "r9"}, "unknown_restaurant"),
        ({"tableIds": ["foreign"]}, "unknown_table"),
    ],
)
async def test_what_cannot_be_held_is_refused(desk, fields, code):
    answer = await desk.post(**fields)
    assert (answer.status, answer.json["error"]["code"]) == (422, code)
    assert desk.place.records() == []


async def test_ids_that_are_none_cannot_be_ended(desk):
    for hold, query in (("a%20b", ""), ("h1", "?user=a%20b")):
        answer = await desk.delete(hold, query)
        assert (answer.status, answer.json["error"]["code"]) == (422, "bad_message")


@pytest.mark.parametrize("token", ["x", "", TOKEN[:-1], TOKEN + "x"])
async def test_both_want_the_token_before_all_else(desk, token):
    await desk.post()
    for answer in (await desk.post(token=token, tableIds="?"), await desk.delete("a%20b", token=token)):
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
    desk.replica.feed.progress.live = False
    for answer in (await desk.post(token=token), await desk.delete(token=token)):
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
    assert desk.hold().ended is None


@pytest.mark.parametrize(
    ("failure", "status"), [(LogUnavailableError("It is away."), 503), (RecordRejectedError("Never."), 422)]
)
async def test_log_that_does_not_take_a_record_is_reported(desk, failure, status):
    desk.failure = failure
    assert ((await desk.post()).status, (await desk.delete()).status) == (status, status)


async def test_instance_that_is_still_reading_decides_nothing(desk):
    desk.replica.feed.progress.live = False
    assert ((await desk.post()).status, (await desk.delete()).status) == (503, 503)


async def test_claim_that_is_given_up_is_taken_back_when_it_turns_up(desk):
    desk.is_slow = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.post)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    desk.settle()
    desk.replica.holds.on_claim(desk.place.records()[0], desk.replica.feed.known)
    desk.replica.append_proposed()
    desk.place.settle()
    assert desk.hold().ended is Ended.ABANDONED


async def test_claim_that_is_given_up_before_its_turn_is_not_written(desk):
    desk.is_slow = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.post)
        await trio.testing.wait_all_tasks_blocked()
        [(_, command, _)] = desk.pending
        nursery.cancel_scope.cancel()
    assert command.turn() is Turn.NEEDLESS
