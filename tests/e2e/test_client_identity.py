"""The Python client on real gateways, while its tokens end: renewed in time, too late, never, and after 4401."""

import time
from collections.abc import Awaitable, Callable

import pytest
import trio

from mesaya_ws.client import connect
from mesaya_ws.client.events import Disconnected, Notice, Subscribed
from mesaya_ws.client.session import RefusedError
from tests.e2e.command import produce
from tests.e2e.identity import SETTINGS, token
from tests.e2e.test_identity import RESERVATIONS, reservation, restaurant

LIFE = 12.0
"""Seconds that a token lasts: the client asks for another one five seconds after it, at the earliest."""

RECORDS, PERIOD = 13, 1.5


async def fresh() -> str:
    return token("u", seconds=LIFE)


def late(seconds: float) -> Callable[[], Awaitable[str]]:
    """Return a function that gets the same token until it has ended, and so many seconds longer."""
    now, ends = token("u", seconds=LIFE), time.monotonic() + LIFE

    async def fetch() -> str:
        return token("u") if time.monotonic() > ends + seconds else now

    return fetch


class Watcher:
    """A session of the owner, and what it has received."""

    def __init__(self, url: str, token: str | Callable[[], Awaitable[str]]) -> None:
        self.url, self.token = url, token
        self.notices: list[Notice] = []
        self.seen: list[str] = []
        self.refused: RefusedError | None = None
        self.begun = trio.Event()

    async def run(self) -> None:
        """Watch until all have been seen, or the session is over."""
        try:
            async with connect(self.url, token=self.token, notify=self._note) as session:
                await session.subscribe(RESERVATIONS)
                async for event in session:
                    self.seen.append(event.data["reservationId"])
                    if len(self.seen) == RECORDS:
                        return
        except* RefusedError as group:
            [self.refused] = group.exceptions

    def _note(self, notice: Notice) -> None:
        self.notices.append(notice)
        if isinstance(notice, Subscribed):
            self.begun.set()

    def of(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in self.notices if isinstance(notice, kind)]


@pytest.mark.parametrize("log", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def test_client_whose_tokens_end_misses_nothing(log, request, tmp_path, start_gateway):
    kafka = {"KAFKA_BROKERS": request.getfixturevalue("platform_topics")} if log == "kafka" else {}
    produce(tmp_path, [restaurant("created", "u")], **kafka)
    free, required = start_gateway(**SETTINGS, **kafka), start_gateway(AUTH_REQUIRED="on", **SETTINGS, **kafka)
    renewing, strict = Watcher(free.url, fresh), Watcher(required.url, fresh)
    tardy, tardy_where_required = Watcher(free.url, late(0.5)), Watcher(required.url, late(0.0))
    fixed = Watcher(free.url, token("u", seconds=LIFE))
    watchers = [renewing, strict, tardy, tardy_where_required, fixed]
    with trio.fail_after(180):
        async with trio.open_nursery() as nursery:
            for watcher in watchers:
                nursery.start_soon(watcher.run)
            for watcher in watchers:
                await watcher.begun.wait()
            for number in range(RECORDS):
                status, _ = await trio.to_thread.run_sync(free.publish, reservation(number))
                assert status == 201
                await trio.sleep(PERIOD)
    everything = [f"v{number}" for number in range(RECORDS)]
    for watcher in (renewing, strict):
        assert (watcher.seen, watcher.refused) == (everything, None)
        # On the connection that it had at first, with the subscription that it had.
        assert (len(watcher.of(Subscribed)), watcher.of(Disconnected)) == (1, [])
    for watcher in (tardy, tardy_where_required):
        assert (watcher.seen, watcher.refused) == (everything, None)
        assert watcher.of(Subscribed)[1:] == [Subscribed(RESERVATIONS, True)]
    assert tardy.of(Disconnected) == []
    # Of a text there is no other one: what came before its end has been seen, and then the session was over.
    assert fixed.refused is not None
    assert fixed.refused.code == "token_expired"
    assert fixed.seen == everything[: len(fixed.seen)]
