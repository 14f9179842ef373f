"""The parts of one gateway: how they are built, and what of them is read at a scrape."""

from collections.abc import Callable, Collection
from functools import partial
from random import uniform
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub, SendQueue
from mesaya_ws.core.feed.shared_snapshots import SharedSnapshots
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.chat_rules import ChatRules
from mesaya_ws.core.session.commands import Command
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Limits, Session, Unfinished
from mesaya_ws.core.views.contents import SnapshotRules
from mesaya_ws.core.wire.messages import Auth
from mesaya_ws.eventlog import log_bytes
from mesaya_ws.gateway.appends import Appends
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.history import HistoryReader
from mesaya_ws.gateway.holds import Holds
from mesaya_ws.gateway.identity_tasks import IdentityTasks
from mesaya_ws.gateway.log_reports import report_outcome
from mesaya_ws.gateway.notifications import NotificationsRenderer
from mesaya_ws.gateway.presence import PresenceExchange, process_name
from mesaya_ws.gateway.reminders import Reminders
from mesaya_ws.gateway.resting_appends import RestingAppends
from mesaya_ws.gateway.sign_in import SignIn
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from mesaya_ws.gateway.state import State
from mesaya_ws.runtime.clocks import now_ms, steady
from mesaya_ws.runtime.gauges import Gauges, Waiting
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.clients import Client
from mesaya_ws.server.http.events import EventServer
from mesaya_ws.server.websocket.connection import connection_config
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import Settings, limits_of, state_directory
from mesaya_ws.statestore.directory import StateFolder
from mesaya_ws.workers.role import Role

if TYPE_CHECKING:
    from mesaya_ws.gateway.platform_api import PlatformApi


@frozen
class _SessionServices:
    """What sessions ask of others (`core.session.session.SessionServices`)."""

    wait_for_feed: Callable[[Session], None]
    read_history: Callable[[Delivery], None]
    render_snapshot: Callable[[Delivery], None]
    append: Callable[[Session, Command], None]
    authenticate: Callable[[Session, Auth], Unfinished | None]


@frozen(eq=False)
class Services:
    """The parts of one gateway that several of its tasks share.

    `live` is set once the history of the log has been read, `stopping` when the gateway must stop. `checkpoints` are
    None without CHECKPOINT_TOPIC, `platform_api` is without PLATFORM_API_URL, `reminders` are without ACK_REMIND, and
    `presence` is with PRESENCE_CHANNELS=0.
    """

    settings: Settings
    role: Role
    event_log: EventLog
    feed: Feed
    metrics: Metrics
    status: Status
    registry: SessionRegistry[Client]
    identities: SessionIdentities[Session]
    sign_in: SignIn
    states: SharedSnapshots
    snapshots: SnapshotRenderer
    notifications: NotificationsRenderer
    state: State
    history: HistoryReader
    appends: Appends
    resting: RestingAppends
    hold_rules: HoldRules
    holds: Holds
    reminders: Reminders | None
    presence: PresenceExchange | None
    websockets: WebSocketServer
    events: EventServer
    checkpoints: Checkpoints | None
    platform_api: "PlatformApi | None"
    live: trio.Event = attrs.field(factory=trio.Event)
    stopping: trio.Event = attrs.field(factory=trio.Event)

    def progressed(self) -> None:
        """Answer, and inform, those who wait for records that may have been processed."""
        self.holds.progressed()
        self.appends.progressed()


def build(
    settings: Settings,
    role: Role,
    metrics: Metrics,
    identities: IdentityTasks,
    event_log: EventLog,
    state_log: EventLog | None,
    presence_log: EventLog | None,
) -> Services:
    """Build all parts; none of them runs yet."""
    status = Status(not_ready_when=settings.not_ready_when)
    platform_api = _platform_api(event_log, settings, metrics)
    note = partial(report_outcome, metrics, LogLimiter())

    def note_and_propose(record: Record, outcome: Outcome) -> None:
        note(record, outcome)
        holds.on_record(record, outcome)
        if reminders is not None:
            reminders.on_record(record, outcome)

    feed = Feed(
        Hub(),
        Window(settings.window_seconds, settings.window_bytes),
        settings.parent_timeout,
        note_and_propose,
        (lambda parent: None) if platform_api is None else platform_api.request_parent,
        max_records=settings.buffered_records,
        max_bytes=settings.buffered_bytes,
        retention=Retention(settings.history_hours, settings.history_bytes),
        rules=SnapshotRules(ZoneInfo(settings.platform_timezone), settings.inbox_events),
        keep_settled_days=settings.keep_settled_days,
        cache_bytes=settings.entity_cache_bytes,
    )
    reminders = Reminders(event_log, feed, settings.ack_remind) if settings.ack_remind else None
    states = SharedSnapshots(settings.snapshot_bytes)
    snapshots = SnapshotRenderer(feed, states)
    # A worker that relieves another one begins while that one still has its folder.
    folder = StateFolder(state_directory(settings), 2 * settings.workers if role.shares_port else 1)
    state = State(folder, feed, metrics, status)
    history = HistoryReader(state, feed)
    notifications = NotificationsRenderer(state, feed, states)
    chat = ChatRules(frozenset(settings.attachment_hosts), trio.current_time, now_ms)
    name = process_name()
    presence = Presence(feed.hub, name, settings.presence_channels, steady)
    exchange = None if presence_log is None else PresenceExchange(presence_log, presence, metrics)
    registry = SessionRegistry[Client]()
    session_identities = SessionIdentities[Session](_identity_rules(settings), uniform)
    hold_rules = HoldRules(settings.hold_seconds, name, trio.current_time, now_ms)
    holds = Holds(event_log, feed, hold_rules, session_identities.directory, settings.hold_reconnect)
    appends = Appends(event_log, feed, on_place=holds.on_appended)
    resting = RestingAppends(appends.append)
    sign_in = SignIn(session_identities, identities.authentication, metrics, identities.revocations)
    asked = _SessionServices(
        registry.wait_for_feed,
        history.request,
        partial(_render_snapshot, notifications, snapshots),
        resting.append,
        sign_in.authenticate,
    )
    limits = Limits(settings.auth, settings.max_subscriptions, conflate=settings.slow_tables == "conflate")

    def open_session(id: str, send_queue: SendQueue) -> Session:
        return Session(
            id,
            feed,
            send_queue,
            limits,
            asked,
            identities=session_identities,
            chat=chat,
            presence=presence,
            holds=hold_rules,
        )

    websockets = WebSocketServer(connection_config(settings), open_session, registry, metrics, status)
    events = EventServer(settings, open_session, registry, metrics, status, identities.authentication)
    checkpoints = None if state_log is None else Checkpoints(state_log, event_log, feed, settings, metrics)
    return Services(
        settings,
        role,
        event_log,
        feed,
        metrics,
        status,
        registry,
        session_identities,
        sign_in,
        states,
        snapshots,
        notifications,
        state,
        history,
        appends,
        resting,
        hold_rules,
        holds,
        reminders,
        exchange,
        websockets,
        events,
        checkpoints,
        platform_api,
    )


def _render_snapshot(notifications: NotificationsRenderer, snapshots: SnapshotRenderer, delivery: Delivery) -> None:
    """Request what a delivery waits for of the one who renders it."""
    if notifications.takes(delivery):
        notifications.request(delivery)
    else:
        snapshots.request(delivery)


def _identity_rules(settings: Settings) -> IdentityRules:
    return IdentityRules(
        settings.max_connections_per_user, settings.jwt_leeway, settings.auth_required, settings.handshake_timeout
    )


def _platform_api(event_log: EventLog, settings: Settings, metrics: Metrics) -> "PlatformApi | None":
    if not settings.platform_api_url:
        return None
    # Its HTTP client takes 0.2 s to import: only gateways that use it pay for that.
    from mesaya_ws.gateway.platform_api import PlatformApi

    return PlatformApi(event_log, settings, metrics)


def gauges(services: Services) -> Gauges:
    """Return the metrics that are read when somebody scrapes."""
    return Gauges(
        services.feed,
        services.status,
        limits_of(services.settings),
        partial(_waiting, services.registry.connections),
        partial(log_bytes, services.settings),
        {"snapshots": lambda: services.states.bytes},
    )


def _waiting(connections: Collection[Client]) -> Waiting:
    """Return what waits in the send queues; it takes some 0.1 µs for each connection."""
    sizes = [size for connection in connections if (size := connection.waiting_bytes)]
    return Waiting(sum(sizes), len(sizes))
