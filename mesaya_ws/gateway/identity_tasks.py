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


@frozen(eq=False)
class Reading:
    """A task (`run`) that reads something, by whose `name` the status has the sentence `unread` until it is `ready`."""

    name: str
    unread: str
    run: Callable[[], Awaitable[None]]
    ready: trio.Event


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
        for reading in self.readings:
            status.unread[reading.name] = reading.unread
            nursery.start_soon(reading.run)
            nursery.start_soon(_note_ready, status, reading)

    async def wait_read(self) -> None:
        """Return when all tasks have read what there was."""
        for reading in self.readings:
            await reading.ready.wait()


async def _note_ready(status: Status, reading: Reading) -> None:
    await reading.ready.wait()
    del status.unread[reading.name]


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
    readings = [Reading("revocations", sentence, revocations.run, revocations.ready)]
    source: KeySource = FixedKeys(configured_keys(settings))
    if settings.jwt_jwks_url:
        from mesaya_ws.gateway.jwks import PublishedKeys

        source = published = PublishedKeys(settings.jwt_jwks_url, metrics)
        sentence = "The keys of JWT_JWKS_URL are still being read."
        readings.append(Reading("keys", sentence, published.run, published.ready))
    authenticator = Authenticator(source, token_rules(settings), revocations, metrics)
    return IdentityTasks(authenticator, revocations, tuple(readings))
