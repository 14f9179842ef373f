"""The composition root: builds everything, owns the nurseries, and the order of the end."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from secrets import token_hex

import attrs
import trio
from attrs import evolve, frozen

from mesaya_ws import __version__
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub, SendQueue
from mesaya_ws.core.feed.written import WrittenStates
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import BEGINNING
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.delivery import Delivery
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.services import Command
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.eventlog import log_bytes, open_event_log, open_state_log
from mesaya_ws.gateway.appends import Appends
from mesaya_ws.gateway.checkpoints import Checkpoints
from mesaya_ws.gateway.history import HistoryReader
from mesaya_ws.gateway.ingest import NEWS_AHEAD, pump, report
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from mesaya_ws.runtime.file_limits import RESERVED, allow_connections
from mesaya_ws.runtime.gauges import Gauges, Waiting
from mesaya_ws.runtime.gc_tuning import tuned_gc
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.loop_latency import watch_loop
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.dispatcher import Dispatcher
from mesaya_ws.server.http.app import create_app
from mesaya_ws.server.http.serving import serve_http
from mesaya_ws.server.listener import serve_listeners
from mesaya_ws.server.websocket.connection import Connection, connection_config
from mesaya_ws.server.websocket.drain import drain
from mesaya_ws.server.websocket.keepalive import keep_alive
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import Settings, limits_of
from mesaya_ws.settings.display import fingerprints
from mesaya_ws.workers.role import Role

log = get_logger(__name__)


@frozen
class Services:
    """What sessions ask for (`SessionServices`), each of the one who does it."""

    wait_for_feed: Callable[[Session], None]
    read_history: Callable[[Session], None]
    render_snapshot: Callable[[Delivery], None]
    append: Callable[[Session, Command], None]


async def serve(
    settings: Settings, post: Role | None = None, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run the gateway until it is told to go, which is by a signal, unless its `post` says otherwise.

    Reports the port that it listens on. Raises `OSError` when it cannot listen there.
    """
    post = post or Role()
    salt = token_hex(8)
    configuration = {"salt": salt, "fingerprints": fingerprints(settings, salt)}
    settings, bound = _as_far_as_possible(settings)
    metrics, status = Metrics(), Status(not_ready_when=settings.not_ready_when)
    window = Window(settings.window_seconds, settings.window_bytes)
    feed = Feed(
        Hub(),
        window,
        settings.parent_timeout,
        partial(report, metrics, LogLimiter()),
        max_records=settings.buffered_records,
        max_bytes=settings.buffered_bytes,
    )
    async with (
        tuned_gc(),
        open_event_log(settings) as event_log,
        open_state_log(settings) as state_log,
        trio.open_nursery() as services,
    ):
        states = WrittenStates(settings.snapshot_bytes)
        scribe = SnapshotRenderer(feed, states)
        historian = HistoryReader(event_log, feed, settings)
        appends = Appends(event_log)
        registry = SessionRegistry[Connection]()
        asked = Services(registry.wait_for_feed, historian.request, scribe.request, appends.append)
        limits = Limits(settings.auth, settings.max_subscriptions, conflate=settings.slow_tables == "conflate")

        def open_session(id: str, send_queue: SendQueue) -> Session:
            return Session(id, feed, send_queue, limits, asked)

        websockets = WebSocketServer(connection_config(settings), open_session, registry, metrics, status)

        live, stopping = trio.Event(), trio.Event()
        services.start_soon(post.heed, stopping, services.cancel_scope)
        deliver, news = trio.open_memory_channel[LogEvent](NEWS_AHEAD)
        services.start_soon(watch_loop, metrics)
        if state_log is None:
            checkpoints = None
            services.start_soon(event_log.follow, deliver.send, BEGINNING, lambda: feed.paused)
        else:
            checkpoints = Checkpoints(state_log, event_log, feed, settings, metrics)
            services.start_soon(_follow_from_checkpoint, event_log, checkpoints, feed, deliver.send)
        services.start_soon(pump, news, feed, registry, metrics, status, live, checkpoints)
        if settings.platform_api_url:
            # Its client takes a fifth of a second to import: only who uses it pays.
            from mesaya_ws.gateway.platform_api import PlatformApi

            api = PlatformApi(event_log, feed, settings, metrics)
            feed.want = api.want
            services.start_soon(api.run, live)
        services.start_soon(historian.run)
        services.start_soon(scribe.run)
        services.start_soon(appends.run)
        services.start_soon(websockets.receiver.run)
        services.start_soon(keep_alive, registry.connections, settings)
        gauges = Gauges(
            feed,
            status,
            limits_of(settings),
            partial(_waiting, registry.connections),
            partial(log_bytes, settings),
            {"snapshots": lambda: states.bytes, "history": lambda: historian.bytes},
        )
        render = exposition(metrics, feed, __version__, gauges)
        services.start_soon(post.share, render)
        app = create_app(
            settings, event_log, metrics, status, feed.freshness, partial(post.tell, render), configuration
        )
        async with trio.open_nursery() as clients:
            dispatcher = Dispatcher(
                settings, metrics, status, partial(websockets.serve, clients), partial(serve_http, app), bound
            )
            listeners = await post.listeners(settings)
            door = trio.CancelScope()
            clients.start_soon(_let_in, post, live, listeners, dispatcher, clients, door)
            task_status.started(listeners[0].socket.getsockname()[1])
            await stopping.wait()
            log.info("draining", connections=len(registry.connections), seconds=settings.drain_seconds)
            status.draining = True
            if post.shares_port:
                door.cancel()
            else:
                dispatcher.draining = True
            await drain(registry.connections, settings.drain_seconds)
            door.cancel()
            clients.cancel_scope.deadline = trio.current_time() + settings.close_timeout
        services.cancel_scope.cancel()


def _as_far_as_possible(settings: Settings) -> tuple[Settings, str]:
    """Return the settings with as many connections as the system allows, and what it is that allows no more.

    That it is fewer than MAX_CONNECTIONS has by default is nothing that anybody need hear of.
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


def _waiting(connections: Collection[Connection]) -> Waiting:
    """Return what waits for clients: some 0.1 µs each."""
    sizes = [size for connection in connections if (size := connection.waiting_bytes)]
    return Waiting(sum(sizes), len(sizes))


async def _let_in(
    post: Role,
    live: trio.Event,
    listeners: list[trio.SocketListener],
    dispatcher: Dispatcher,
    clients: trio.Nursery,
    door: trio.CancelScope,
) -> None:
    """Take connections, each to be served in `clients`, until `door` is cancelled."""
    with door:
        await post.enter(live)
        host, port, *_ = listeners[0].socket.getsockname()
        log.info("listening", host=host, port=port)
        async with trio.open_nursery() as doors:
            for listener in listeners:
                accept = partial(serve_listeners, is_shared=post.shares_port)
                doors.start_soon(accept, listener, dispatcher.handle, clients, dispatcher.room)


async def _follow_from_checkpoint(
    event_log: EventLog, checkpoints: Checkpoints, feed: Feed, tell: Callable[[LogEvent], Awaitable[None]]
) -> None:
    """Read the log from the newest checkpoint on, and write new ones meanwhile."""
    start = await checkpoints.restore(tell)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(checkpoints.run)
        await event_log.follow(tell, start, lambda: feed.paused)
