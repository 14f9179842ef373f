import orjson
import pytest
import trio
from starlette.applications import Starlette

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.platform.projection_rows import rows_of
from mesaya_ws.server.http.errors import ApiError, answer_api_error
from mesaya_ws.server.http.explain import explain_route
from mesaya_ws.settings import Settings
from tests.scenarios.rights import Platform
from tests.server.http.client import ask as send
from tests.server.http.client import post, request
from tests.server.http.service import Tokens
from tests.support.instance import a_feed
from tests.support.log import Log
from tests.timing import PATIENCE

TOKEN = "a token of the tests"
RECORD = {
    "topic": "mesa-ya.reviews.events",
    "value": {"event_type": "created", "data": {"id": "v", "restaurantId": "R"}},
}
TOKENS = Tokens({"x.admin": Identity("a", ("ADMIN",)), "x.guest": Identity("g")})


@pytest.fixture
def feed():
    log = Log()
    log.says("restaurant.created", "R", name="La Mesa", ownerId="o")
    log.says("section.created", "s", restaurantId="R")
    return log.feed_into(a_feed())


def app_of(feed, *, publish_token=TOKEN, authentication=None, auth=True, **options):
    settings = Settings(publish_token=publish_token, auth=auth)
    route = explain_route(settings, feed, authentication, **options)
    return Starlette(routes=[route], exception_handlers={ApiError: answer_api_error})


async def ask(app, body=RECORD, token=TOKEN):
    headers = [("Authorization", f"Bearer {token}")] if token else []
    return await post(app, "/explain", body, *headers)


async def test_explain_answers_by_what_is_known_and_changes_nothing(feed):
    before = orjson.dumps(list(rows_of(feed.known.projections)))
    app = app_of(feed)
    answers = [await ask(app), await ask(app)]
    for answer in answers:
        assert answer.status == 200
        [message] = answer.json["messages"]
        assert (message["type"], message["channel"]) == ("review.created", "restaurant:R:reviews")
        assert answer.json["live"] is True
    assert orjson.dumps(list(rows_of(feed.known.projections))) == before


@pytest.mark.parametrize(
    ("publish_token", "authentication", "auth", "token", "status"),
    [
        (TOKEN, None, False, TOKEN, 200),
        (TOKEN, None, False, None, 401),
        ("", None, False, None, 200),
        (TOKEN, TOKENS, True, TOKEN, 200),
        (TOKEN, TOKENS, True, "x.admin", 200),
        (TOKEN, TOKENS, True, "x.guest", 401),
        (TOKEN, TOKENS, True, "x.wrong", 401),
        ("a.b", TOKENS, True, "a.b", 200),
        ("", TOKENS, True, "x.admin", 200),
        ("", TOKENS, True, "x.guest", 401),
        ("", TOKENS, True, None, 401),
    ],
)
async def test_explain_is_for_who_may_publish_and_admins(feed, publish_token, authentication, auth, token, status):
    app = app_of(feed, publish_token=publish_token, authentication=authentication, auth=auth)
    assert (await ask(app, token=token)).status == status


@pytest.mark.parametrize(("token", "status"), [("x.admin", 503), ("x.wrong", 401), (TOKEN, 200)])
async def test_explain_before_all_is_read_is_for_nobody_by_a_role(token, status):
    assert (await ask(app_of(a_feed(), authentication=TOKENS), token=token)).status == status


async def test_explain_is_for_who_is_an_admin_by_the_log_whatever_an_earlier_token_says():
    platform = Platform()
    app = app_of(platform.feed, publish_token="", authentication=TOKENS)
    assert [(await ask(app, token=token)).status for token in ("x.admin", "x.guest")] == [200, 401]
    platform.roles("a", "USER")
    platform.roles("g", "ADMIN")
    assert [(await ask(app, token=token)).status for token in ("x.admin", "x.guest")] == [401, 200]


@pytest.mark.parametrize(("host", "status"), [("pages.example", 403), ("localhost", 200), ("127.0.0.1:8080", 200)])
async def test_explain_without_any_token_is_for_no_page_of_anybody(feed, host, status):
    app = app_of(feed, publish_token="", auth=False)
    asked = request("POST", "/explain", body=orjson.dumps(RECORD)).replace(b"Host: test", f"Host: {host}".encode())
    assert (await send(app, asked, method="POST")).status == status


@pytest.mark.parametrize(
    ("user", "auth", "sees"),
    [("o", True, [True, False]), ("x", True, [False, False]), ("x", False, [True, True]), ("boss", True, [True, True])],
)
async def test_explain_says_whether_a_user_sees_it(user, auth, sees):
    platform = Platform()
    platform.owner("R", "o")
    platform.roles("boss", "ADMIN")
    booking = {"event_type": "created", "data": {"id": "r", "restaurantId": "R", "userId": "g"}}
    asked = {"topic": "mesa-ya.reservations.events", "value": booking, "user": user}
    answer = await ask(app_of(platform.feed, auth=auth), asked)
    assert [(each["channel"], each["seenByUser"]) for each in answer.json["messages"]] == list(
        zip(("restaurant:R:reservations", "user:g:notifications"), sees, strict=True)
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"value": {}}, "bad_message"),
        ({"topic": 5, "value": {}}, "bad_message"),
        ({"topic": "t", "value": {}, "user": "a b"}, "bad_message"),
        (b"{", "bad_json"),
    ],
)
async def test_explain_refuses_what_is_no_question(feed, body, error):
    assert (await ask(app_of(feed), body)).error == error


@pytest.mark.parametrize(
    ("value", "becomes"), [(None, "tombstone"), ("text", "not_json"), ([], "not_object"), ("\ud800", "not_json")]
)
async def test_explain_takes_poison(feed, value, becomes):
    answer = await ask(app_of(feed), {"topic": "mesa-ya.reviews.events", "value": value})
    assert answer.json["becomes"] == becomes


class WatchedFeed:
    """A feed that counts how often somebody looks whether it is in the middle of a record."""

    def __init__(self, feed):
        self.feed, self.looks = feed, 0

    def __getattr__(self, name):
        return getattr(self.feed, name)

    @property
    def is_mid_record(self):
        self.looks += 1
        return self.feed.is_mid_record


async def test_explaining_for_many_takes_few_turns_from_the_large_record_that_they_wait_for(feed):
    watched, statuses = WatchedFeed(feed), []
    app = app_of(watched, timeout=PATIENCE)
    feed.progress.leftovers.append(iter(()))

    async def ask_and_note():
        statuses.append((await ask(app)).status)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask_and_note)
        for _ in range(200):
            await trio.lowlevel.checkpoint()
        feed.progress.leftovers.clear()
    assert statuses == [200] * 20
    assert 100 < watched.looks < 200 + 40


async def test_explain_waits_for_the_end_of_a_large_record_and_gives_up(feed):
    feed.progress.leftovers.append(iter(()))
    assert (await ask(app_of(feed, timeout=0.01))).error == "log_unavailable"
    feed.progress.leftovers.clear()
    assert (await ask(app_of(feed))).status == 200
