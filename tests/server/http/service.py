"""The application, with a log in memory behind it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import typed_settings as ts

from mesaya_ws import __version__
from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.watermark import Fresh
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.platform.topics import TOPICS
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.http.app import create_app
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.settings import Settings
from mesaya_ws.workers.role import Role
from tests.fakes import FakeLog
from tests.server.http.client import Answer, get, post
from tests.support.instance import a_feed

TOKEN = "a token of the tests"


class Tokens:
    """Knows callers by their tokens; no other token is signed by anybody."""

    def __init__(self, known: Mapping[str, Identity | Unavailable]) -> None:
        self._known = known

    async def authenticate(self, token: str) -> Identity | Unavailable | BadToken:
        return self._known.get(token, BadToken(Flaw.SIGNATURE))


class Service:
    """An application and all that it answers from."""

    def __init__(
        self, *, token: str = TOKEN, append_timeout: float = 25.0, revokes: bool = True, **settings: Any
    ) -> None:
        self.log, self.metrics, self.status = FakeLog((*TOPICS, CHAT)), Metrics(), Status(caught_up=True)
        self.fresh: Fresh = {"live": True, "asOf": 1_800_000_000_000, "lag": 0}
        render = exposition(self.metrics, a_feed(), __version__)
        self.settings = Settings(publish_token=ts.SecretStr(token), **settings)
        self.app = create_app(
            self.settings,
            Publisher(self.log, (*self.settings.kafka_topics, CHAT), append_timeout),
            self.metrics,
            self.status,
            lambda: self.fresh,
            partial(Role().render_metrics, render),
            configuration={},
            revoke=self.revoke if revokes else None,
            more=(),
        )

    async def revoke(self, user: str, before: int) -> int:
        """Revoke as a gateway does, by the log, which has known a later revocation of u2."""
        await self.log.append([NewRecord("mesa-ya.auth.events", f"{user} {before}".encode())])
        return max(before, 1_900_000_000_000) if user == "u2" else before

    @property
    def records(self) -> list[Record]:
        """What has been appended."""
        return self.log.appended

    async def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return await get(self.app, target, *headers)

    async def post(self, target: str, body: Any) -> Answer:
        """Post with the token."""
        return await post(self.app, target, body, ("Authorization", f"Bearer {TOKEN}"))
