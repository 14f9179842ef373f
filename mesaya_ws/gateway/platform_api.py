"""Asks the platform's public REST API for parents that no record has spoken of: rows that were seeded, or were lost.

What it answers is appended to the log (`core.views.backfill`), and counts when it is read back. The backend answers a
hundred questions a minute, from all who ask; so there are few, and one at a time.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Any

import httpx
import orjson
import trio

from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.platform.envelope import platform_time
from mesaya_ws.core.views.backfill import parents_in, records_of
from mesaya_ws.core.wire.json_text import has_too_many_nodes, read_json
from mesaya_ws.gateway.answers import ANSWER_SECONDS, BadAnswerError, read_answer
from mesaya_ws.gateway.guarded_transport import transport_to
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings

log = get_logger(__name__)

QUESTIONS_PER_MINUTE = 30

ANSWER_BYTES = 1024 * 1024

ANSWER_NODES = 20_000
"""Nodes of an answer (see `json_text`): those of 20 restaurants with 50 tables each. Parsing takes less than 10 ms."""

PAGE = 20
"""Restaurants in an answer."""

PAGES = 100
"""Pages that are searched for a section; the API offers no way to find one by its id."""

PARENTS_AT_ONCE = 200
"""Parents that are looked for in one step of the event loop: some 0.1 ms."""

PAUSE = 10.0
"""Seconds to wait after a failed request."""

ASK_AGAIN = 300.0
"""Seconds in which the same parent is not requested again, whatever the answer was."""

WAITING, ANSWERED = 1_000, 10_000
"""Parents that wait to be requested, and parents that are remembered as answered; the oldest are dropped."""

_HEADERS = {"Accept": "application/json"}

_EXPECTED = (BadAnswerError, httpx.HTTPError, LogUnavailableError, RecordRejectedError)
"""Errors that may be over at the next attempt."""


class PlatformApi:
    """The API at PLATFORM_API_URL, which is reached by `transport_to` it, and asked for the parents that are requested.

    After a failure, it is not asked for `pause` seconds; `max_pages` are searched for a section.
    """

    def __init__(
        self,
        event_log: EventLog,
        settings: Settings,
        metrics: Metrics,
        *,
        transport_to: Callable[[str], Awaitable[httpx.AsyncBaseTransport]] = transport_to,
        pause: float = PAUSE,
        answer_timeout: float = ANSWER_SECONDS,
        max_pages: int = PAGES,
    ) -> None:
        self._event_log = event_log
        self._url = settings.platform_api_url.rstrip("/")
        self._metrics = metrics
        self._transport_to = transport_to
        self._pause = pause
        self._answer_timeout = answer_timeout
        self._max_pages = max_pages
        self._wanted: dict[str, None] = {}
        # The parents that were answered, and when, the oldest first.
        self._answered: dict[str, float] = {}
        self._asked_at: deque[float] = deque(maxlen=QUESTIONS_PER_MINUTE)
        self._asking: Collection[str] = ()
        self._wake = trio.Event()
        self._failing = Alarm(log, "the platform's API is of no help", "the platform's API answers again")

    def request_parent(self, parent: str) -> None:
        """Request a parent, `<entity>:<id>`, if the API knows such entities, and it has not been requested lately."""
        if parent in self._wanted or not parent.startswith(("section:", "restaurant:")):
            return
        answered = self._answered
        if (at := answered.get(parent)) is not None:
            if at > trio.current_time() - ASK_AGAIN:
                return
            del answered[parent]
        self._wanted[parent] = None
        if len(self._wanted) > WAITING:
            del self._wanted[next(iter(self._wanted))]
        self._wake.set()

    async def run(self, live: trio.Event, is_missing: Callable[[str], bool]) -> None:
        """Ask until cancelled for what `is_missing`, once the history of the log has been read."""
        await live.wait()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            self._asking = ()
            try:
                async with await self._client() as client:
                    await self._ask_for_all(client, is_missing)
            except Exception as error:  # noqa: BLE001 - it is logged, with its traceback if it is not expected
                self._count("failed")
                known = isinstance(error, _EXPECTED)
                reason = str(error) or type(error).__name__
                self._failing.set(url=self._url, reason=reason, exc_info=not known)
                if not known:
                    # A fault of ours or of the library would come again with the same request.
                    self._remember(self._asking)
                await trio.sleep(self._pause)
                self._put_last(self._asking)
                self._wake.set()
            else:
                self._failing.clear(url=self._url)

    async def _client(self) -> httpx.AsyncClient:
        """Return a client for the waiting requests, with the system's present certificate authorities."""
        transport = await self._transport_to(self._url)
        return httpx.AsyncClient(transport=transport, timeout=self._answer_timeout, trust_env=False)

    async def _ask_for_all(self, client: httpx.AsyncClient, is_missing: Callable[[str], bool]) -> None:
        while wanted := self._still_wanted(is_missing):
            if wanted[0].startswith("section:"):
                await self._look_for_sections(client, {parent for parent in wanted if parent.startswith("section:")})
            else:
                await self._ask_for_restaurant(client, wanted[0])

    def _still_wanted(self, is_missing: Callable[[str], bool]) -> list[str]:
        """Return what is still wanted: meanwhile a record may have spoken of it."""
        for parent in [parent for parent in self._wanted if not is_missing(parent)]:
            del self._wanted[parent]
        return list(self._wanted)

    def _put_last(self, parents: Collection[str]) -> None:
        """Request the others first the next time: it may be this request that fails."""
        for parent in self._wanted.keys() & parents:
            self._wanted[parent] = self._wanted.pop(parent)

    async def _ask_for_restaurant(self, client: httpx.AsyncClient, parent: str) -> None:
        self._asking = [parent]
        answer = await self._get(client, f"/restaurants/{parent.partition(':')[2]}", missing_is_fine=True)
        row = answer.get("data", answer)
        await self._answer(row if parent in await _all_parents_in(row) else {}, [parent])

    async def _look_for_sections(self, client: httpx.AsyncClient, wanted: set[str]) -> None:
        """Search all restaurants for the wanted sections."""
        self._asking = list(wanted)
        seen: set[str] = set()
        for page in range(1, self._max_pages + 1):
            answer = await self._get(client, f"/restaurants?page={page}&limit={PAGE}")
            rows = answer.get("data")
            if not isinstance(rows, list):
                raise BadAnswerError("a list of restaurants has its rows in `data`")
            listed: set[str] = set()
            for row in rows:
                await trio.lowlevel.checkpoint()
                parents = await _all_parents_in(row)
                listed |= parents
                if found := wanted & parents:
                    await self._answer(row, found)
                    wanted -= found
            if not wanted or len(rows) < PAGE or listed <= seen:
                break
            seen |= listed
        await self._answer({}, wanted)

    async def _answer(self, row: dict[str, Any], parents: Collection[str]) -> None:
        """Note `parents` as answered, and append the records of the restaurant in `row`, unless it is empty."""
        self._count("answered" if row else "unknown", len(parents))
        self._remember(parents)
        if row:
            records = []
            for record in records_of(row, platform_time(now_ms())):
                if record is not None:
                    records.append(record)
                await trio.lowlevel.checkpoint()
            await self._event_log.append(records)

    def _remember(self, parents: Collection[str]) -> None:
        """Note parents as answered, so that they are not requested again soon."""
        for parent in parents:
            self._wanted.pop(parent, None)
            self._answered[parent] = trio.current_time()
            if len(self._answered) > ANSWERED:
                del self._answered[next(iter(self._answered))]

    async def _get(self, client: httpx.AsyncClient, path: str, *, missing_is_fine: bool = False) -> dict[str, Any]:
        """Return the object in the answer; an empty one for 404 if `missing_is_fine`."""
        await self._take_turn()
        body = await read_answer(
            client,
            self._url + path,
            _HEADERS,
            ANSWER_BYTES,
            missing_is_fine=missing_is_fine,
            timeout=self._answer_timeout,
        )
        if body is None:
            return {}
        if has_too_many_nodes(body, ANSWER_NODES):
            raise BadAnswerError(f"it answers more than {ANSWER_NODES} members of objects and lists")
        try:
            answer = read_json(body)
        except orjson.JSONDecodeError as error:
            raise BadAnswerError(f"its answer is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise BadAnswerError("its answer is not a JSON object")
        return answer

    async def _take_turn(self) -> None:
        """Wait until one more request is allowed."""
        if len(self._asked_at) == QUESTIONS_PER_MINUTE:
            await trio.sleep_until(self._asked_at[0] + 60)
        self._asked_at.append(trio.current_time())

    def _count(self, outcome: str, times: int = 1) -> None:
        if times:
            self._metrics.questions[outcome] += times


async def _all_parents_in(row: object) -> set[str]:
    """Return the parents that a row of the API speaks of; others run while they are looked for."""
    parents: set[str] = set()
    found = parents_in(row)
    while some := set(islice(found, PARENTS_AT_ONCE)):
        parents |= some
        await trio.lowlevel.checkpoint()
    return parents
