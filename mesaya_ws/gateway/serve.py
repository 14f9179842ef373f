"""The composition root: it builds one gateway, owns its nurseries, and shuts it down in order.

The shutdown, from the moment when the role sets `stopping`:

1. `status.draining` is set: `/health/ready` answers 503, so that balancers send no more clients.
2. If other processes share the port, the listeners are closed at once. Otherwise they stay open until the end: HTTP is
   answered, and new WebSockets are refused (`dispatcher.draining`).
3. The WebSockets are closed one by one over DRAIN_SECONDS, each after `going_away` (`drain`). Then the other processes
   are informed that nobody is here any more (`presence`).
4. The listeners are closed. What is still under way, such as HTTP requests, has CLOSE_TIMEOUT to end.
5. The background tasks are cancelled, and the logs are closed.

A second signal cancels everything at once.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from secrets import token_hex
from typing import Any

import attrs
import trio
from attrs import evolve

from mesaya_ws import __version__
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import LogEvent
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.eventlog import open_checkpoint_log, open_event_log, open_presence_log, open_revocation_log
from mesaya_ws.gateway.driver import EVENTS_AHEAD
from mesaya_ws.gateway.following import follow
from mesaya_ws.gateway.identity_tasks import IdentityTasks, build_identities
from mesaya_ws.gateway.services import Services, build, gauges
from mesaya_ws.runtime.file_limits import RESERVED, allow_connections
from mesaya_ws.runtime.gc_tuning import tuned_gc
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.loop_latency import watch_loop
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.server.dispatcher import Dispatcher, ServeHttp
from mesaya_ws.server.http.app import create_app
from mesaya_ws.server.http.connections import connections_route
from mesaya_ws.server.http.explain import explain_route
from mesaya_ws.server.http.holds import hold_routes
from mesaya_ws.server.http.serving import serve_http
from mesaya_ws.server.listener import serve_listeners
from mesaya_ws.server.publishing import Publisher
from mesaya_ws.server.websocket.drain import drain
from mesaya_ws.server.websocket.keepalive import keep_alive
from mesaya_ws.settings import Settings, followed
from mesaya_ws.settings.display import fingerprints
from mesaya_ws.workers.role import Role, WaitPrepared

log = get_logger(__name__)


async def serve(
    settings: Settings,
    role: Role | None = None,
    *,
    open_log: Callable[[Settings], AbstractAsyncContextManager[EventLog]] = open_event_log,
    allow: Callable[[int], int] = allow_connections,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the gateway until its `role` says that it must stop, which by default is at SIGTERM or SIGINT.

    `allow` returns how many of the wanted connections open files allow. Reports the port that it listens on. Raises
    `OSError` when it cannot listen there.
    """
    salt = token_hex(8)
    configuration = {"salt": salt, "fingerprints": fingerprints(settings, salt)}
    settings, bound = _within_file_limits(settings, allow)
    async with (
        tuned_gc(),
        open_log(settings) as event_log,
        open_checkpoint_log(settings) as checkpoint_log,
        open_revocation_log(settings) as revocation_log,
        open_presence_log(settings) as presence_log,
    ):
        metrics = Metrics()
        identity_tasks = build_identities(settings, metrics, revocation_log)
        services = build(
            settings=settings,
            role=role or Role(),
            metrics=metrics,
            identity_tasks=identity_tasks,
            event_log=event_log,
            checkpoint_log=checkpoint_log,
            presence_log=presence_log,
        )
        with services.store:
            async with trio.open_nursery() as background:
                await _run(services, identity_tasks, background, bound, configuration, task_status)


async def _run(
    services: Services,
    identity_tasks: IdentityTasks,
    background: trio.Nursery,
    bound: str,
    configuration: Mapping[str, Any],
    task_status: trio.TaskStatus[int],
) -> None:
    """Start everything, and serve until the gateway must stop; then shut it down (see the module)."""
    identity_tasks.start(background, services.status)
    background.start_soon(services.role.wait_shutdown, services.stopping, background.cancel_scope)
    _start_log(services, background)
    _start_background(services, background)
    render = exposition(services.metrics, services.feed, __version__, gauges(services))
    background.start_soon(services.role.export_metrics, render)
    serve_app = _build_app(services, identity_tasks, configuration, render)
    async with trio.open_nursery() as clients:
        dispatcher = Dispatcher(
            services.settings,
            services.metrics,
            services.status,
            serve_websocket=partial(services.websockets.serve, clients),
            serve_http=serve_app,
            bound=bound,
            authentication=identity_tasks.authentication,
        )
        await _serve_until_stopped(
            services, partial(_wait_prepared, services, identity_tasks), dispatcher, clients, task_status
        )
    background.cancel_scope.cancel()


def _build_app(
    services: Services,
    identity_tasks: IdentityTasks,
    configuration: Mapping[str, Any],
    render: Callable[[], bytes],
) -> ServeHttp:
    """Build what answers HTTP, with the metrics that `render` returns."""
    settings, feed, authentication = services.settings, services.feed, identity_tasks.authentication
    sessions, writers = services.sessions, services.writers
    app = create_app(
        settings,
        Publisher(services.event_log, (*settings.kafka_topics, CHAT)),
        services.metrics,
        services.status,
        freshness=feed.freshness,
        render_metrics=partial(services.role.render_metrics, render),
        configuration=configuration,
        revoke=None if identity_tasks.revocations is None else services.sign_in.revoke,
        more=(
            explain_route(settings, feed, authentication),
            connections_route(settings, sessions.registry.connections, feed, authentication),
            services.events.route(),
            *hold_routes(settings, sessions.holds, feed, writers.appends.append),
        ),
    )
    return partial(serve_http, app)


def _start_log(services: Services, nursery: trio.Nursery) -> None:
    """Start the tasks that carry the log to the feed, from the newest checkpoint on if there is one."""
    deliver, events = trio.open_memory_channel[LogEvent](EVENTS_AHEAD)
    event_log, feed, checkpoints = services.event_log, services.feed, services.checkpoints
    nursery.start_soon(follow, event_log, checkpoints, services.store, feed, followed(services.settings), deliver.send)
    nursery.start_soon(services.ingest.run, events)
    if services.platform_api is not None:
        nursery.start_soon(services.platform_api.run, services.live, feed.known.is_missing)


def _start_background(services: Services, nursery: trio.Nursery) -> None:
    """Start the tasks that serve all sessions."""
    nursery.start_soon(watch_loop, services.metrics)
    services.readers.start(nursery)
    services.writers.start(nursery, services.live)
    if services.presence is not None:
        nursery.start_soon(services.presence.run)
    nursery.start_soon(services.sign_in.run)
    nursery.start_soon(services.websockets.receiver.run)
    nursery.start_soon(keep_alive, services.sessions.registry.connections, services.settings)


async def _wait_prepared(services: Services, identity_tasks: IdentityTasks) -> None:
    """Return once clients can be served by all that the log held at the start, and tokens can be verified."""
    await services.live.wait()
    await identity_tasks.wait_read()


async def _serve_until_stopped(
    services: Services,
    wait_prepared: WaitPrepared,
    dispatcher: Dispatcher,
    clients: trio.Nursery,
    task_status: trio.TaskStatus[int],
) -> None:
    """Accept connections, each served in `clients`, until `stopping` is set; then drain (see the module)."""
    settings, role, connections = services.settings, services.role, services.sessions.registry.connections
    listeners = await role.listeners(settings)
    accept_scope = trio.CancelScope()
    clients.start_soon(_accept, role, wait_prepared, listeners, dispatcher, clients, accept_scope)
    task_status.started(listeners[0].socket.getsockname()[1])
    await services.stopping.wait()
    log.info("draining", connections=len(connections), seconds=settings.drain_seconds)
    services.status.draining = True
    if role.shares_port:
        accept_scope.cancel()
    else:
        dispatcher.draining = True
    await drain(connections, settings.drain_seconds)
    if services.presence is not None:
        await services.presence.end()
    accept_scope.cancel()
    clients.cancel_scope.deadline = trio.current_time() + settings.close_timeout


async def _accept(
    role: Role,
    wait_prepared: WaitPrepared,
    listeners: list[trio.SocketListener],
    dispatcher: Dispatcher,
    clients: trio.Nursery,
    scope: trio.CancelScope,
) -> None:
    """Accept connections once the role is ready, each served in `clients`, until `scope` is cancelled."""
    with scope:
        await role.wait_ready(wait_prepared)
        host, port, *_ = listeners[0].socket.getsockname()
        log.info("listening", host=host, port=port)
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accept = partial(serve_listeners, is_shared=role.shares_port)
                accepting.start_soon(accept, listener, dispatcher.handle, clients, dispatcher.free_slots)


def _within_file_limits(settings: Settings, allow: Callable[[int], int]) -> tuple[Settings, str]:
    """Return the settings with as many connections as open files allow, and the name of the bound that applies.

    A lower bound is logged only if MAX_CONNECTIONS was set: its default is more than many systems allow.
    """
    wanted = settings.max_connections
    possible = allow(wanted)
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
