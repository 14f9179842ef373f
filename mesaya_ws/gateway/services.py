"""The parts of one gateway: how they are built, and what of them is read at a scrape."""

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs
import trio
from attrs import frozen

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.commands import Command
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.session import Session, Unfinished
from mesaya_ws.core.views.contents import SnapshotRules
from mesaya_ws.core.wire.messages import Auth
from mesaya_ws.eventlog import log_bytes
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.identity_tasks import IdentityTasks
from mesaya_ws.gateway.ingest import Ingest
from mesaya_ws.gateway.log_reports import LogReports, report_outcome
from mesaya_ws.gateway.presence import PresenceExchange
from mesaya_ws.gateway.readers import Readers, build_readers
from mesaya_ws.gateway.sessions import Sessions, build_sessions
from mesaya_ws.gateway.sign_in import SignIn
from mesaya_ws.gateway.store_keeper import StoreKeeper
from mesaya_ws.gateway.writers import Writers, build_writers
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


@frozen(kw_only=True)
class _SessionServices:
    """What sessions ask of others (`core.session.session.SessionServices`)."""

    wait_for_feed: Callable[[Session], None]
    read_history: Callable[[Delivery], None]
    render_snapshot: Callable[[Delivery], None]
    append: Callable[[Session, Command], None]
    authenticate: Callable[[Session, Auth], Unfinished | None]


@frozen(kw_only=True, eq=False)
class Services:
    """The parts of one gateway that several of its tasks share.

    `live` is set once the history of the log has been read, `stopping` when the gateway must stop. `checkpoints` are
    None without CHECKPOINT_TOPIC, `platform_api` is without PLATFORM_API_URL, and `presence` is with
    PRESENCE_CHANNELS=0.
    """

    settings: Settings
    role: Role
    event_log: EventLog
    metrics: Metrics
    status: Status
    feed: Feed
    store: StoreKeeper
    checkpoints: Checkpoints | None
    platform_api: "PlatformApi | None"
    ingest: Ingest
    sessions: Sessions
    readers: Readers
    writers: Writers
    sign_in: SignIn
    presence: PresenceExchange | None
    websockets: WebSocketServer
    events: EventServer
    live: trio.Event
    stopping: trio.Event = attrs.field(factory=trio.Event)


def build(
    *,
    settings: Settings,
    role: Role,
    metrics: Metrics,
    identity_tasks: IdentityTasks,
    event_log: EventLog,
    checkpoint_log: EventLog | None,
    presence_log: EventLog | None,
) -> Services:
    """Build all parts; none of them runs yet."""
    status = Status(not_ready_when=settings.not_ready_when)
    platform_api = _build_platform_api(event_log, settings, metrics)
    report = partial(report_outcome, metrics, LogLimiter())

    def on_record(record: Record, outcome: Outcome) -> None:
        report(record, outcome)
        writers.on_record(record, outcome)  # built after the feed, and before its first record

    feed = _build_feed(settings, on_record, platform_api)
    store = StoreKeeper(_state_folder(settings, role), feed, metrics, status)
    checkpoints = None if checkpoint_log is None else Checkpoints(checkpoint_log, event_log, feed, settings, metrics)
    sessions = build_sessions(settings, feed.hub)
    readers = build_readers(feed, store, settings.snapshot_bytes)
    writers = build_writers(settings, event_log, feed, sessions.holds, sessions.identities.directory)
    sign_in = _build_sign_in(sessions, identity_tasks, metrics)
    presence = None if presence_log is None else _build_presence(sessions, presence_log, metrics)
    asked = _SessionServices(
        wait_for_feed=sessions.registry.wait_for_feed,
        read_history=readers.history.request,
        render_snapshot=readers.render_snapshot,
        append=writers.resting.append,
        authenticate=sign_in.authenticate,
    )
    open_session, registry = partial(sessions.open, feed, asked), sessions.registry
    live = trio.Event()
    ingest = Ingest(
        feed=feed,
        registry=registry,
        identities=sessions.identities,
        metrics=metrics,
        reports=LogReports(feed, metrics, status),
        live=live,
        store=store,
        checkpoints=checkpoints,
        progressed=writers.progressed,
    )
    return Services(
        settings=settings,
        role=role,
        event_log=event_log,
        metrics=metrics,
        status=status,
        feed=feed,
        store=store,
        checkpoints=checkpoints,
        platform_api=platform_api,
        ingest=ingest,
        sessions=sessions,
        readers=readers,
        writers=writers,
        sign_in=sign_in,
        presence=presence,
        websockets=WebSocketServer(connection_config(settings), open_session, registry, metrics, status),
        events=EventServer(settings, open_session, registry, metrics, status, identity_tasks.authentication),
        live=live,
    )


def _build_feed(
    settings: Settings, on_record: Callable[[Record, Outcome], None], platform_api: "PlatformApi | None"
) -> Feed:
    return Feed(
        Hub(),
        Window(settings.window_seconds, settings.window_bytes),
        settings.parent_timeout,
        on_record,
        (lambda parent: None) if platform_api is None else platform_api.request_parent,
        max_records=settings.buffered_records,
        max_bytes=settings.buffered_bytes,
        retention=Retention(settings.history_hours, settings.history_bytes),
        rules=SnapshotRules(ZoneInfo(settings.platform_timezone), settings.inbox_events),
        keep_settled_days=settings.keep_settled_days,
        cache_bytes=settings.entity_cache_bytes,
    )


def _state_folder(settings: Settings, role: Role) -> StateFolder:
    # A worker that relieves another one begins while that one still has its folder.
    return StateFolder(state_directory(settings), 2 * settings.workers if role.shares_port else 1)


def _build_sign_in(sessions: Sessions, identity_tasks: IdentityTasks, metrics: Metrics) -> SignIn:
    """Build what signs sessions in, and wakes for what is due or revoked."""
    revocations = identity_tasks.revocations
    sign_in = SignIn(sessions.identities, identity_tasks.authentication, metrics, revocations)
    sessions.identities.deadlines.on_earlier = sign_in.on_earlier
    if revocations is not None:
        revocations.on_revoked = sign_in.on_revoked
    return sign_in


def _build_presence(sessions: Sessions, presence_log: EventLog, metrics: Metrics) -> PresenceExchange:
    """Build what exchanges the presence of the sessions, and wakes for what is due of it."""
    exchange = PresenceExchange(presence_log, sessions.presence, metrics)
    sessions.presence.on_due = exchange.wake
    return exchange


def _build_platform_api(event_log: EventLog, settings: Settings, metrics: Metrics) -> "PlatformApi | None":
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
        partial(_waiting, services.sessions.registry.connections),
        partial(log_bytes, services.settings),
        {"snapshots": lambda: services.readers.shared.bytes},
    )


def _waiting(connections: Collection[Client]) -> Waiting:
    """Return what waits in the send queues; it takes some 0.1 µs for each connection."""
    sizes = [size for connection in connections if (size := connection.waiting_bytes)]
    return Waiting(sum(sizes), len(sizes))
