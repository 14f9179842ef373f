"""`GET /events`: whom it shows what, by the token of each request, and that nothing is left of who was answered."""

import pytest
from starlette.applications import Starlette

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.http.errors import ApiError, answer_api_error
from mesaya_ws.server.http.events import EventServer
from mesaya_ws.settings import Settings
from tests.server.http.client import ask, request
from tests.server.http.service import Tokens
from tests.support.instance import CHANNEL, World, a_session, session_identities

OWN = "user:u1:notifications"
ACCEPTS = ("application/json", "text/event-stream")
TOKENS = Tokens({"x.u1": Identity("u1"), "x.u2": Identity("u2"), "x.later": Unavailable.KEYS})


class Desk:
    """The route in an application, and all that it answers from."""

    def __init__(self, *, authentication=None, max_per_user=0, **settings):
        self.settings = Settings(auth=authentication is not None, **settings)
        self.world = World(identities=session_identities(max_per_user=max_per_user))
        self.registry, self.metrics = SessionRegistry(), Metrics()
        server = EventServer(
            self.settings, self._open_session, self.registry, self.metrics, Status(), authentication=authentication
        )
        self.app = Starlette(routes=[server.route()], exception_handlers={ApiError: answer_api_error})

    def _open_session(self, id, queue):
        world = self.world
        return a_session(world.feed, id, queue, world.services, auth=self.settings.auth, identities=world.identities)

    async def get(self, channel, authorization=None, accept=ACCEPTS[0], method="GET"):
        headers = [("Accept", accept)]
        if authorization is not None:
            headers.append(("Authorization", authorization))
        asked = request(method, f"/events?channel={channel}", *headers)
        return await ask(self.app, asked, method=method)

    @property
    def left(self):
        """What is left of clients that have been answered."""
        directory, deadlines = self.world.identities.directory, self.world.identities.deadlines
        return len(self.registry.connections) + directory.users + directory.channels + len(deadlines)


@pytest.mark.parametrize(
    ("channel", "authorization", "required", "status", "code"),
    [
        (CHANNEL, None, False, 200, None),
        (CHANNEL, "Basic x.u1", False, 200, None),
        (CHANNEL, "Bearer x.u2", True, 200, None),
        (OWN, "Bearer x.u1", False, 200, None),
        (OWN, "bearer  x.u1 ", True, 200, None),
        (OWN, None, False, 403, "private_channel"),
        (OWN, "Basic x.u1", False, 403, "private_channel"),
        (OWN, "Bearer x.u2", False, 403, "private_channel"),
        (CHANNEL, "Bearer x.wrong", False, 401, "bad_token"),
        (CHANNEL, "Bearer ", False, 401, "bad_token"),
        (CHANNEL, "Bearer x.later", False, 503, "unavailable"),
        (OWN, "Bearer x.later", False, 503, "unavailable"),
        (CHANNEL, None, True, 401, "bad_token"),
        (CHANNEL, "Basic x.u1", True, 401, "bad_token"),
    ],
)
async def test_events_are_for_whom_the_token_names(channel, authorization, required, status, code):
    desk = Desk(authentication=TOKENS, auth_required=required)
    answer = await desk.get(channel, authorization)
    assert answer.status == status
    assert (answer.error if code else list(answer.json)) == (code or ["events", "position"])
    assert desk.left == 0
    for accept in ACCEPTS:
        answer = await desk.get(channel, authorization, accept, method="HEAD")
        assert (answer.status, answer.body, desk.left) == (status, b"", 0)
    if code:  # else it would go on
        answer = await desk.get(channel, authorization, ACCEPTS[1])
        assert (answer.status, answer.error, desk.left) == (status, code, 0)


async def test_newest_of_too_many_of_a_user_is_refused_and_sees_nothing():
    desk = Desk(authentication=TOKENS, max_per_user=1)
    first = desk.world.client()
    assert identify(first, Identity("u1"), 0.0)
    answer = await desk.get(OWN, "Bearer x.u1")
    assert (answer.status, answer.error) == (429, "too_many_of_user")
    assert desk.metrics.violations["connections_per_user"] == 1
    assert (await desk.get(OWN, "Bearer x.u2")).status == 403
    first.leave()
    assert (await desk.get(OWN, "Bearer x.u1")).status == 200
    assert desk.left == 0


@pytest.mark.parametrize(("origins", "status"), [((), 403), (("http://pages.example",), 200)])
async def test_page_of_anybody_reads_nothing_that_is_open_without_tokens(origins, status):
    desk = Desk(allowed_origins=origins)
    asked = request("GET", f"/events?channel={OWN}", ("Accept", ACCEPTS[0]))
    answer = await ask(desk.app, asked.replace(b"Host: test", b"Host: pages.example"))
    assert answer.status == status
    assert answer.json.keys() == ({"error"} if status == 403 else {"events", "position"})
