"""The sessions of one gateway: those that are open, who they are, and the rules that they share."""

from random import uniform

import trio
from attrs import field, frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub, SendQueue
from mesaya_ws.core.session.chat_rules import ChatRules
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Limits, Session, SessionServices
from mesaya_ws.gateway.presence import process_name
from mesaya_ws.runtime.clocks import now_ms, steady
from mesaya_ws.server.clients import Client
from mesaya_ws.settings import Settings


@frozen(kw_only=True, eq=False)
class Sessions:
    """All sessions of one gateway are opened here, so that they share the same rules, and are in the `registry`."""

    limits: Limits
    identities: SessionIdentities[Session]
    chat: ChatRules
    presence: Presence
    holds: HoldRules
    registry: SessionRegistry[Client] = field(factory=SessionRegistry)

    def open(self, feed: Feed, services: SessionServices, id: str, send_queue: SendQueue) -> Session:
        """Return a new session, which asks others for what `services` has."""
        return Session(
            id,
            feed,
            send_queue,
            self.limits,
            services,
            identities=self.identities,
            chat=self.chat,
            presence=self.presence,
            holds=self.holds,
        )


def build_sessions(settings: Settings, hub: Hub) -> Sessions:
    """Build what sessions share, whose subscriptions are in the `hub`."""
    name = process_name()
    identity_rules = IdentityRules(
        settings.max_connections_per_user, settings.jwt_leeway, settings.auth_required, settings.handshake_timeout
    )
    return Sessions(
        limits=Limits(settings.auth, settings.max_subscriptions, conflate=settings.slow_tables == "conflate"),
        identities=SessionIdentities(identity_rules, uniform),
        chat=ChatRules(frozenset(settings.attachment_hosts), trio.current_time, now_ms),
        presence=Presence(hub, name, settings.presence_channels, steady),
        holds=HoldRules(settings.hold_seconds, name, trio.current_time, now_ms),
    )
