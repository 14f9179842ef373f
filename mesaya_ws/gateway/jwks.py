"""Keeps the keys that an issuer publishes: a JSON Web Key Set (RFC 7517) at JWT_JWKS_URL.

It is read at the start, again every five minutes, and at once when a token names a key that is not in it; but for
tokens no oftener than every 30 seconds, whoever sends how many of them. There is one request at a time: `run` makes
them all, and those who need one wait for the next that begins or has begun.

Where the issuer does not answer, the keys stay in use for a day: that the issuer fails must sign nobody out.
"""

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic

import httpx
import orjson
import trio
from attrs import define, field

from mesaya_ws.core.access.keys import BadKeyError, Key, key_set
from mesaya_ws.gateway.answers import ANSWER_SECONDS, BadAnswerError, read_answer
from mesaya_ws.gateway.guarded_transport import transport_to
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics

log = get_logger(__name__)

REFRESH_SECONDS = 300.0
"""Between two readings of the key set."""

RETRY_SECONDS = 10.0
"""After a reading that failed."""

KEPT_SECONDS = 86_400.0
"""How long keys stay in use that could not be read again."""

ASKED_SECONDS = 30.0
"""The least time between two readings for the sake of tokens."""

ASKER_SECONDS = 2.0
"""How long a token waits for a reading."""

ANSWER_BYTES = 65_536

_HEADERS = {"Accept": "application/jwk-set+json, application/json"}


@define(eq=False)
class _Reading:
    """One reading of the key set, for those who wait for it; `succeeded` once it is `done`."""

    done: trio.Event = field(factory=trio.Event)
    succeeded: bool = False


class PublishedKeys:
    """A `KeySource`: the key set at `url`, reached by `transport_to` it. `ready` is set once it has been read."""

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        transport_to: Callable[[str], Awaitable[httpx.AsyncBaseTransport]] = transport_to,
    ) -> None:
        self.keys: tuple[Key, ...] = ()
        self.ready = trio.Event()
        self._url = url
        self._metrics = metrics
        self._transport_to = transport_to
        self._reading = _Reading()
        self._is_due = True  # a reading goes on, or is about to begin: `run` begins with one
        self._wake = trio.Event()
        self._read_at = -inf
        self._asked_at = -inf
        self._alarm = Alarm(log, "the key set of tokens cannot be read", "the key set of tokens is read again")

    async def run(self) -> None:
        """Read the keys until cancelled."""
        while True:
            self._wake = trio.Event()
            is_read = await self._read()
            with trio.move_on_after(REFRESH_SECONDS if is_read else RETRY_SECONDS):
                await self._wake.wait()

    async def refresh(self) -> bool:
        """Have the keys read again, unless that has been asked for lately; wait for it a little.

        Returns whether they have been read: else it is not known which keys there are now.
        """
        now, reading = trio.current_time(), self._reading
        if not self._is_due:
            if now < self._asked_at + ASKED_SECONDS:
                await trio.lowlevel.checkpoint()
                return False
            self._asked_at, self._is_due = now, True
            self._wake.set()
        with trio.move_on_after(ASKER_SECONDS):
            await reading.done.wait()
        return reading.succeeded

    async def _read(self) -> bool:
        """Read the keys once; whatever is wrong with the answer, those of before stay for their time."""
        reading, self._is_due = self._reading, True
        try:
            keys = await self._answer()
        except Exception as error:  # noqa: BLE001 - whoever answers, whatever it is, must not end the process
            known = isinstance(error, BadAnswerError | BadKeyError | httpx.HTTPError)
            self._note_failure(str(error) or type(error).__name__, exc_info=not known)
        else:
            self._note_keys(keys)
            reading.succeeded = True
        finally:
            self._is_due, self._reading = False, _Reading()
            reading.done.set()
        return reading.succeeded

    def _note_keys(self, keys: tuple[Key, ...]) -> None:
        self._read_at = trio.current_time()
        if keys != self.keys:
            # Another object stands for other keys: what was verified with the old ones is verified again.
            self.keys = keys
            log.info("keys of tokens", url=self._url, ids=[key.id for key in keys])
        self._alarm.clear(url=self._url)
        self._metrics.keys_read_at = monotonic()
        self._count("read")
        self.ready.set()

    def _note_failure(self, reason: str, *, exc_info: bool) -> None:
        self._alarm.set(url=self._url, reason=reason, keys=len(self.keys), exc_info=exc_info)
        if self.keys and trio.current_time() - self._read_at > KEPT_SECONDS:
            self.keys = ()
            log.error("the keys of tokens are too old to be used: no token can be verified", url=self._url)
        self._count("failed")

    def _count(self, outcome: str) -> None:
        self._metrics.key_readings[outcome] += 1
        self._metrics.keys = len(self.keys)

    async def _answer(self) -> tuple[Key, ...]:
        """Return the keys that the issuer publishes now."""
        async with await self._client() as client:
            body = await read_answer(client, self._url, _HEADERS, ANSWER_BYTES)
        try:
            document = orjson.loads(body or b"")
        except orjson.JSONDecodeError:
            raise BadAnswerError("its answer is not JSON") from None
        return key_set(document)

    async def _client(self) -> httpx.AsyncClient:
        transport = await self._transport_to(self._url)
        return httpx.AsyncClient(transport=transport, timeout=ANSWER_SECONDS, trust_env=False, follow_redirects=False)
