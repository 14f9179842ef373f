"""The composition root: it builds one gateway, owns its nurseries, and shuts it down in order.

The shutdown, from the moment when the role sets `stopping`:

1. `status.draining` is set: `/health/ready` answers 503, so that balancers send no more clients.
2. If other processes share the port, the listeners are closed at once. Otherwise they stay open until the end: HTTP is
   answered, and new WebSockets are refused (`dispatcher.draining`).
3. The WebSockets are closed one by one over DRAIN_SECONDS, each after `going_away` (`drain`).
4. The listeners are closed. What is still under way, such as HTTP requests, has CLOSE_TIMEOUT to end.
5. The background tasks are cancelled, and the logs are closed.

A second signal cancels everything at once.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from random import uniform
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs
import trio
from attrs import evolve, frozen

from mesaya_ws import __version__
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub, SendQueue
from mesaya_ws.core.feed.written import WrittenStates
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError
from mesaya_ws.core.log.records import BEGINNING, Record
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.chat import ChatRules
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.services import Command, Unfinished
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.core.wire.messages import Auth
from mesaya_ws.eventlog import log_bytes, open_event_log, open_revocation_log, open_state_log
from mesaya_ws.eventlog.availability import Availability
from mesaya_ws.gateway.appends import Appends
from mesaya_ws.gateway.checkpoints import RETRY_INTERVAL, Checkpoints
from mesaya_ws.gateway.driver import EVENTS_AHEAD
from mesaya_ws.gateway.history import HistoryReader
from mesaya_ws.gateway.identity_tasks import Identities, build_identities
from mesaya_ws.gateway.ingest import ingest, report
from mesaya_ws.gateway.reminders import Reminders
from mesaya_ws.gateway.sign_in import SignIn
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from mesaya_ws.gateway.state import State
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.file_limits import RESERVED, allow_connections
from mesaya_ws.runtime.gauges import Gauges, Waiting
from mesaya_ws.runtime.gc_tuning import tuned_gc
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.loop_latency import watch_loop
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.clients import Client
from mesaya_ws.server.dispatcher import Dispatcher
from mesaya_ws.server.http.app import create_app
from mesaya_ws.server.http.events import EventServer
from mesaya_ws.server.http.explain import explain_route
from mesaya_ws.server.http.serving import serve_http
from mesaya_ws.server.listener import serve_listeners
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.server.websocket.connection import connection_config
from mesaya_ws.server.websocket.drain import drain
from mesaya_ws.server.websocket.keepalive import keep_alive
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import Settings, followed, limits_of, state_directory
from mesaya_ws.settings.display import fingerprints
from mesaya_ws.statestore.directory import StateFolder
from mesaya_ws.workers.role import Role

if TYPE_CHECKING:
    from mesaya_ws.gateway.platform_api import PlatformApi

log = get_logger(__name__)


@frozen
class _SessionServices:
    """What sessions ask of others (`core.session.services.SessionServices`)."""

    wait_for_feed: Callable[[Session], None]
    read_history: Callable[[Session], None]
    read_page: Callable[[Delivery], None]
    render_snapshot: Callable[[Delivery], None]
    append: Callable[[Session, Command], None]
    authenticate: Callable[[Session, Auth], Unfinished | None]


@frozen(eq=False)
class Services:
    """The parts of one gateway that several of its tasks share.

    `live` is set once the history of the log has been read, `stopping` when the gateway must stop. `checkpoints` are
    None without CHECKPOINT_TOPIC, `platform_api` is without PLATFORM_API_URL, `reminders` are without ACK_REMIND.
    """

    settings: Settings
    role: Role
    event_log: EventLog
    feed: Feed
    metrics: Metrics
    status: Status
    registry: SessionRegistry[Client]
    identities: SessionIdentities
    sign_in: SignIn
    states: WrittenStates
    snapshots: SnapshotRenderer
    state: State
    history: HistoryReader
    appends: Appends
    reminders: Reminders | None
    websockets: WebSocketServer
    events: EventServer
    checkpoints: Checkpoints | None
    platform_api: "PlatformApi | None"
    live: trio.Event = attrs.field(factory=trio.Event)
    stopping: trio.Event = attrs.field(factory=trio.Event)


async def serve(
    settings: Settings, role: Role | None = None, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the gateway until its `role` says that it must stop, which by default is at SIGTERM or SIGINT.

    Reports the port that it listens on. Raises `OSError` when it cannot listen there.
    """
    salt = token_hex(8)
    configuration = {"salt": salt, "fingerprints": fingerprints(settings, salt)}
    settings, bound = _within_file_limits(settings)
    async with (
        tuned_gc(),
        open_event_log(settings) as event_log,
        open_state_log(settings) as state_log,
        open_revocation_log(settings) as revocation_log,
    ):
        metrics = Metrics()
        identities = build_identities(settings, metrics, revocation_log)
        services = _build(settings, role or Role(), metrics, identities, event_log, state_log)
        with services.state:
            async with trio.open_nursery() as background:
                await _run(services, identities, background, bound, configuration, task_status)


async def _run(
    services: Services,
    identities: Identities,
    background: trio.Nursery,
    bound: str,
    configuration: Mapping[str, Any],
    task_status: trio.TaskStatus[int],
) -> None:
    """Start everything, and serve until the gateway must stop; then shut it down (see the module)."""
    settings = services.settings
    identities.start(background, services.status)
    background.start_soon(services.role.wait_shutdown, services.stopping, background.cancel_scope)
    _start_log(services, background)
    _start_background(services, background)
    render = exposition(services.metrics, services.feed, __version__, _gauges(services))
    background.start_soon(services.role.export_metrics, render)
    app = create_app(
        settings,
        Publisher(services.event_log, (*settings.kafka_topics, CHAT)),
        services.metrics,
        services.status,
        services.feed.freshness,
        partial(services.role.render_metrics, render),
        configuration,
        identities.revoke,
        (explain_route(settings, services.feed, identities.authentication), services.events.route()),
    )
    async with trio.open_nursery() as clients:
        dispatcher = Dispatcher(
            settings,
            services.metrics,
            services.status,
            partial(services.websockets.serve, clients),
            partial(serve_http, app),
            bound,
            identities.authentication,
        )
        await _serve_until_stopped(services, dispatcher, clients, task_status)
    background.cancel_scope.cancel()


def _build(
    settings: Settings,
    role: Role,
    metrics: Metrics,
    identities: Identities,
    event_log: EventLog,
    state_log: EventLog | None,
) -> Services:
    """Build all parts; none of them runs yet."""
    status = Status(not_ready_when=settings.not_ready_when)
    platform_api = _platform_api(event_log, settings, metrics)
    note = partial(report, metrics, LogLimiter())

    def note_and_remind(record: Record, outcome: Outcome) -> None:
        note(record, outcome)
        if reminders is not None:
            reminders.on_record(record, outcome)

    feed = Feed(
        Hub(),
        Window(settings.window_seconds, settings.window_bytes),
        settings.parent_timeout,
        note_and_remind if settings.ack_remind else note,
        (lambda parent: None) if platform_api is None else platform_api.request_parent,
        max_records=settings.buffered_records,
        max_bytes=settings.buffered_bytes,
        retention=Retention(settings.history_hours, settings.history_bytes),
    )
    reminders = Reminders(event_log, feed, settings.ack_remind) if settings.ack_remind else None
    states = WrittenStates(settings.snapshot_bytes)
    snapshots = SnapshotRenderer(feed, states)
    # A worker that relieves another one begins while that one still has its folder.
    folder = StateFolder(state_directory(settings), 2 * settings.workers if role.shares_port else 1)
    state = State(folder, feed, metrics, status)
    history = HistoryReader(state, feed)
    appends = Appends(event_log, feed)
    chat = ChatRules(frozenset(settings.attachment_hosts), trio.current_time, now_ms)
    registry = SessionRegistry[Client]()
    session_identities = SessionIdentities(_identity_rules(settings), uniform)
    sign_in = SignIn(session_identities, identities.authentication, metrics, identities.revocations)
    asked = _SessionServices(
        registry.wait_for_feed,
        history.request,
        history.request,
        snapshots.request,
        appends.append,
        sign_in.authenticate,
    )
    limits = Limits(settings.auth, settings.max_subscriptions, conflate=settings.slow_tables == "conflate")

    def open_session(id: str, send_queue: SendQueue) -> Session:
        return Session(id, feed, send_queue, limits, asked, identities=session_identities, chat=chat)

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
        state,
        history,
        appends,
        reminders,
        websockets,
        events,
        checkpoints,
        platform_api,
    )


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


def _start_log(services: Services, nursery: trio.Nursery) -> None:
    """Start the tasks that carry the log to the feed, from the newest checkpoint on if there is one."""
    deliver, events = trio.open_memory_channel[LogEvent](EVENTS_AHEAD)
    event_log, feed, checkpoints = services.event_log, services.feed, services.checkpoints
    nursery.start_soon(_follow, event_log, checkpoints, services.state, feed, followed(services.settings), deliver.send)
    nursery.start_soon(
        ingest,
        events,
        feed,
        services.registry,
        services.metrics,
        services.status,
        services.live,
        services.state,
        checkpoints,
        services.identities,
        services.appends.progressed,
    )
    if services.platform_api is not None:
        nursery.start_soon(services.platform_api.run, services.live, feed.is_missing)


def _start_background(services: Services, nursery: trio.Nursery) -> None:
    """Start the tasks that serve all sessions."""
    nursery.start_soon(watch_loop, services.metrics)
    nursery.start_soon(services.history.run)
    nursery.start_soon(services.snapshots.run)
    nursery.start_soon(services.appends.run)
    if services.reminders is not None:
        nursery.start_soon(services.reminders.run, services.live)
    nursery.start_soon(services.sign_in.run)
    nursery.start_soon(services.websockets.receiver.run)
    nursery.start_soon(keep_alive, services.registry.connections, services.settings)


async def _serve_until_stopped(
    services: Services, dispatcher: Dispatcher, clients: trio.Nursery, task_status: trio.TaskStatus[int]
) -> None:
    """Accept connections, each served in `clients`, until `stopping` is set; then drain (see the module)."""
    settings, role, connections = services.settings, services.role, services.registry.connections
    listeners = await role.listeners(settings)
    accept_scope = trio.CancelScope()
    clients.start_soon(_accept, role, services.live, listeners, dispatcher, clients, accept_scope)
    task_status.started(listeners[0].socket.getsockname()[1])
    await services.stopping.wait()
    log.info("draining", connections=len(connections), seconds=settings.drain_seconds)
    services.status.draining = True
    if role.shares_port:
        accept_scope.cancel()
    else:
        dispatcher.draining = True
    await drain(connections, settings.drain_seconds)
    accept_scope.cancel()
    clients.cancel_scope.deadline = trio.current_time() + settings.close_timeout


async def _accept(
    role: Role,
    live: trio.Event,
    listeners: list[trio.SocketListener],
    dispatcher: Dispatcher,
    clients: trio.Nursery,
    scope: trio.CancelScope,
) -> None:
    """Accept connections once the role is ready, each served in `clients`, until `scope` is cancelled."""
    with scope:
        await role.wait_ready(live)
        host, port, *_ = listeners[0].socket.getsockname()
        log.info("listening", host=host, port=port)
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accept = partial(serve_listeners, is_shared=role.shares_port)
                accepting.start_soon(accept, listener, dispatcher.handle, clients, dispatcher.room)


async def _follow(
    event_log: EventLog,
    checkpoints: Checkpoints | None,
    state: State,
    feed: Feed,
    topics: Collection[str],
    deliver: Callable[[LogEvent], Awaitable[None]],
) -> None:
    """Follow the log, from the newest checkpoint on if there is one, and write the state and new checkpoints."""
    await trio.to_thread.run_sync(state.open)
    start = BEGINNING if checkpoints is None else await checkpoints.restore(deliver)
    availability = Availability()
    while True:
        try:
            await state.resume(event_log, start, topics)
            break
        except LogUnavailableError as error:
            for event in availability.changes(str(error)):
                await deliver(event)
            await trio.sleep(RETRY_INTERVAL)
    for event in availability.changes(None):
        await deliver(event)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.run)
        if checkpoints is not None:
            nursery.start_soon(checkpoints.run)
        await event_log.follow(deliver, start, lambda: feed.paused)


def _within_file_limits(settings: Settings) -> tuple[Settings, str]:
    """Return the settings with as many connections as open files allow, and the name of the bound that applies.

    A lower bound is logged only if MAX_CONNECTIONS was set: its default is more than many systems allow.
    """
    wanted = settings.max_connections
    possible = allow_connections(wanted)
    if possible >= wanted:
        return settings, "MAX_CONNECTIONS"
    if wanted != attrs.fields(Settings).max_connections.default:
        log.warning(
            "MAX_CONNECTIONS cannot be had: raise the hard limit of open files (ulimit -Hn; LimitNOFILE in a unit of "
            "systemd, --ulimit nofile for a container), or set MAX_CONNECTIONS to what is possible",
            wanted=wanted,
            possible=possible,
            needed_open_files=wanted + RESERVED,
        )
    return evolve(settings, max_connections=possible), "ulimit -n"


def _gauges(services: Services) -> Gauges:
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
