"""`GET /connections`: pages of who is connected, for operators alone, in short steps."""

import os
from itertools import pairwise
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import trio
from starlette.applications import Starlette

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.subscription import State
from mesaya_ws.server.http import connections
from mesaya_ws.server.http.connections import connections_route
from mesaya_ws.server.http.errors import ApiError, answer_api_error
from mesaya_ws.settings import Settings
from tests.server.http.client import get
from tests.server.http.service import Tokens
from tests.support.instance import a_feed
from tests.support.log import Log

TOKEN = "a token of the tests"
SECRET = "x.secret-of-a-user"
TOKENS = Tokens({"x.admin": Identity("a", ("ADMIN",)), SECRET: Identity("g")})


def client(number, *, user=None, channels=(), waiting=0, opened_at=10.0, **more):
    """A connection as the registry has it."""
    subscriptions = {name: SimpleNamespace(state=State.LIVE) for name in channels}
    session = SimpleNamespace(id=f"abc-{number:x}", identity=user, subscriptions=subscriptions)
    fields = {"transport": "websocket", "address": "192.0.2.7:4711"} | more
    return SimpleNamespace(session=session, waiting_bytes=waiting, opened_at=opened_at, **fields)


def app_of(clients, *, publish_token=TOKEN, authentication=None, auth=True):
    settings = Settings(publish_token=publish_token, auth=auth)
    route = connections_route(settings, clients, Log().feed_into(a_feed()), authentication, lambda: 15.25)
    return Starlette(routes=[route], exception_handlers={ApiError: answer_api_error})


async def ask(app, query="", token=TOKEN):
    headers = [("Authorization", f"Bearer {token}")] if token else []
    return await get(app, f"/connections{query}", *headers)


async def test_a_connection_is_said_with_all_but_its_token():
    user = Identity("ana", ("OWNER",))
    answer = await ask(app_of([client(1, user=user, channels=("global:announcements",), waiting=512)]))
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json == {
        "process": os.getpid(),
        "total": 1,
        "connections": [
            {
                "id": "abc-1",
                "transport": "websocket",
                "user": "ana",
                "roles": ["OWNER"],
                "address": "192.0.2.7:4711",
                "seconds": 5.2,
                "subscriptions": 1,
                "channels": [{"channel": "global:announcements", "state": "live"}],
                "waitingBytes": 512,
            }
        ],
        "next": None,
    }


async def test_who_is_nobody_and_whose_address_is_not_known_is_said_so():
    [shown] = (await ask(app_of([client(1, address=None, transport="events")]))).json["connections"]
    assert (shown["user"], shown["roles"], shown["address"], shown["transport"]) == (None, [], None, "events")


async def test_pages_follow_each_other_without_a_repetition_though_connections_come_and_go():
    clients = {number: client(number) for number in range(1, 600)}
    seen, after = [], ""
    while True:
        page = (await ask(app_of(list(clients.values())), f"?limit=100&after={after}")).json
        seen += [shown["id"] for shown in page["connections"]]
        if page["next"] is None:
            break
        after = page["next"]
        clients.pop(int(after.split("-")[1], 16), None)
        clients[600 + len(seen)] = client(600 + len(seen))
    assert seen[:599] == [f"abc-{number:x}" for number in range(1, 600)]
    assert len(seen) == len(set(seen)) > 599


async def test_many_channels_are_counted_and_a_few_are_listed():
    channels = [f"restaurant:{number}:tables" for number in range(100)]
    [shown] = (await ask(app_of([client(1, channels=channels)]))).json["connections"]
    assert (shown["subscriptions"], len(shown["channels"])) == (100, connections.MOST_CHANNELS)


@pytest.mark.parametrize(
    ("query", "ids"), [("?user=ana", [1, 3]), ("?channel=c", [2, 3]), ("?user=ana&channel=c", [3])]
)
async def test_connections_are_found_by_user_and_channel(query, ids):
    ana = Identity("ana")
    clients = [client(1, user=ana), client(2, channels=("c",)), client(3, user=ana, channels=("c",)), client(4)]
    page = (await ask(app_of(clients), query)).json
    assert [shown["id"] for shown in page["connections"]] == [f"abc-{number}" for number in ids]
    assert page["total"] == 4


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "x", "", "٣", "9" * 500])
async def test_a_limit_that_is_none_is_refused(limit):
    answer = await ask(app_of([]), f"?limit={quote(limit)}")
    assert (answer.status, answer.error) == (422, "bad_message")


@pytest.mark.parametrize(
    ("publish_token", "authentication", "auth", "token", "status"),
    [
        (TOKEN, None, False, TOKEN, 200),
        (TOKEN, None, False, None, 401),
        ("", None, False, None, 200),
        (TOKEN, TOKENS, True, "x.admin", 200),
        (TOKEN, TOKENS, True, SECRET, 401),
        ("", TOKENS, True, "x.wrong", 401),
        ("", TOKENS, True, None, 401),
    ],
)
async def test_connections_are_for_operators(publish_token, authentication, auth, token, status):
    app = app_of([client(1)], publish_token=publish_token, authentication=authentication, auth=auth)
    answer = await ask(app, token=token)
    assert answer.status == status
    assert b"abc-1" in answer.body if status == 200 else b"abc-1" not in answer.body


async def test_many_connections_are_looked_at_in_steps():
    looked, steps = 0, []

    class Counting(connections._Asked):
        def wants(self, client):
            nonlocal looked
            looked += 1
            return super().wants(client)

    async def watch():
        while True:
            steps.append(looked)
            await trio.lowlevel.checkpoint()

    clients = [client(number) for number in range(20_000)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        found = await connections._select(clients, Counting(50, (0, ""), None, None))
        nursery.cancel_scope.cancel()
    assert [one.session.id for one in found][:2] == ["abc-0", "abc-1"]
    assert (looked, len(found)) == (20_000, 51)
    assert (
        max(after - before for before, after in pairwise(steps)) <= 2 * connections.LOOKED_AT
    )  # as the tasks take turns
