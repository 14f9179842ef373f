"""What a gateway needs to say whom tokens name: the keys, the revocations, and the tasks that keep both up to date."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from mesaya_ws.core.access.authentication import Authentication, NoKeys
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import Settings
from mesaya_ws.settings.tokens import token_sources

if TYPE_CHECKING:
    from mesaya_ws.gateway.revocations import TokenRevocations

Reading = tuple[str, str, Callable[[], Awaitable[None]], trio.Event]
"""A task that reads something: its name, the sentence that says that it has not yet, and when it has."""


@frozen(eq=False)
class IdentityTasks:
    """The tasks that say whom tokens name, and what they have read.

    `authentication` is None with AUTH=off, where tokens do not count; `revocations`, where none is verified;
    `revocations.on_revoked` passes a revocation on to the sessions that live on.
    """

    authentication: Authentication | None
    revocations: "TokenRevocations | None" = None
    readings: tuple[Reading, ...] = ()

    def start(self, nursery: trio.Nursery, status: Status) -> None:
        """Start the tasks in a nursery; the gateway is `starting` until each has read what there was."""
        for name, sentence, run, ready in self.readings:
            status.unread[name] = sentence
            nursery.start_soon(run)
            nursery.start_soon(_note_ready, status, name, ready)

    async def wait_read(self) -> None:
        """Return when all tasks have read what there was."""
        for *_, ready in self.readings:
            await ready.wait()


async def _note_ready(status: Status, name: str, ready: trio.Event) -> None:
    await ready.wait()
    del status.unread[name]


def build_identities(settings: Settings, metrics: Metrics, revocation_log: EventLog | None) -> IdentityTasks:
    """Return what says whom tokens name, as the settings have it; nothing of it runs yet."""
    if not settings.auth:
        return IdentityTasks(None)
    if revocation_log is None or not token_sources(settings):
        return IdentityTasks(NoKeys())
    # What verifies takes 50 ms to import, and an HTTP client 0.2 s: only gateways that need them pay for that.
    from mesaya_ws.gateway.authenticator import Authenticator, FixedKeys, KeySource, configured_keys, token_rules
    from mesaya_ws.gateway.revocations import TokenRevocations

    revocations = TokenRevocations(revocation_log, settings.jwt_max_age)
    sentence = "The revocations of tokens are still being read."
    readings: tuple[Reading, ...] = (("revocations", sentence, revocations.run, revocations.ready),)
    source: KeySource = FixedKeys(configured_keys(settings))
    if settings.jwt_jwks_url:
        from mesaya_ws.gateway.jwks import PublishedKeys

        source = published = PublishedKeys(settings.jwt_jwks_url, metrics)
        sentence = "The keys of JWT_JWKS_URL are still being read."
        readings = (*readings, ("keys", sentence, published.run, published.ready))
    authenticator = Authenticator(source, token_rules(settings), revocations, metrics)
    return IdentityTasks(authenticator, revocations, readings)
