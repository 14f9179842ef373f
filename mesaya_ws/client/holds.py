"""Tables that are held for the user, for as long as it takes to fill in a form."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from math import inf
from typing import Any
from uuid import uuid4

import trio
from attrs import Factory, define

from mesaya_ws.client.connection import RefusedError
from mesaya_ws.client.requests import Ask, RequestError
from mesaya_ws.core.interactions.hold import Ended

RELEASE_TIMEOUT = 5.0
"""Seconds that the release of a hold may take at the end of its context; else the hold ends with its time."""

CANCELLED_RELEASE_TIMEOUT = 0.1
"""The same where the context is cancelled: what is sent by then counts, and its answer is not awaited."""

GRACE = 10.0
"""Seconds after its time in which the gateway says why a hold has ended; else it has expired."""

_AGAIN = "hold:"
"""What the ids of messages begin with that ask for a hold again, on another connection."""


@define(eq=False)
class Hold:
    """Tables that are held. `token` is for who writes the reservation: it grows with every hold that is granted."""

    id: str
    tables: tuple[str, ...]
    start: str | None
    end: str | None
    token: int
    _request: dict[str, Any]
    _ask: Ask
    _ends_at: float
    _ended: trio.Event = Factory(trio.Event)
    _reason: str | None = None

    @property
    def remaining(self) -> float:
        """For how many seconds the tables are held, by a clock that nobody sets; 0 once the hold has ended."""
        return 0.0 if self._reason is not None else max(0.0, self._ends_at - trio.current_time())

    @property
    def reason(self) -> str | None:
        """Why the hold has ended: released, expired, disconnected, reserved or abandoned; None: it has not."""
        return self._reason

    async def ended(self) -> str:
        """Wait until the hold has ended, and return why."""
        while self._reason is None:
            with trio.move_on_at(self._ends_at + GRACE) as patience:
                await self._ended.wait()
            if patience.cancelled_caught and trio.current_time() >= self._ends_at + GRACE:
                self.on_ended(Ended.EXPIRED)
        return self._reason

    async def release(self) -> str:
        """End the hold; return why it has ended, which may have been before."""
        if self._reason is None:
            try:
                answer = await self._ask({"type": "table.release", "holdId": self.id})
                self.on_ended(answer["reason"])
            except RequestError:  # it is not known any more
                self.on_ended(Ended.EXPIRED)
        return self._reason or ""

    # What the gateway says

    def on_selected(self, expires_in: float) -> None:
        """Note for how many seconds it lasts."""
        self._ends_at = trio.current_time() + expires_in

    def on_ended(self, reason: str) -> None:
        """Note that it has ended."""
        if self._reason is None:
            self._reason = reason
            self._ended.set()

    def request_again(self) -> dict[str, Any]:
        """Return the message that asks what has become of it."""
        return {**self._request, "holdId": self.id, "id": f"{_AGAIN}{self.id}"}


@define(eq=False)
class Holds:
    """The holds of a session that are live, as far as it knows."""

    _live: list[Hold] = Factory(list)

    @property
    def are_live(self) -> bool:
        """Whether there is one, whose end the gateway may announce."""
        return bool(self._live)

    def questions(self) -> Iterator[dict[str, Any]]:
        """Yield what is to be asked on a new connection: the end of a hold may have been announced on none."""
        return (hold.request_again() for hold in self._live if hold.remaining > 0)

    def take(self, message: dict[str, Any]) -> bool:
        """Take a message if it is about a hold; return whether it is."""
        id = message.get("id")
        is_answer = isinstance(id, str) and id.startswith(_AGAIN)
        match message:
            case {"type": "released", "holdId": str(hold_id), "reason": str(reason)} if is_answer or id is None:
                for hold in [each for each in self._live if each.id == hold_id]:
                    hold.on_ended(reason)
                return True
            case {"type": "selected", "holdId": str(hold_id), "expiresIn": int() | float() as left} if is_answer:
                for hold in [each for each in self._live if each.id == hold_id]:
                    hold.on_selected(left)
                return True
        return is_answer  # an error: its time will come

    @asynccontextmanager
    async def hold(
        self, ask: Ask, restaurant: str, tables: Sequence[str], start: datetime | str | None, end: datetime | str | None
    ) -> AsyncIterator[Hold]:
        """Hold tables for the length of the context. Raises `RequestError` for refusals."""
        request: dict[str, Any] = {"type": "table.select", "restaurantId": restaurant, "tableIds": list(tables)}
        request |= {name: _text(time) for name, time in (("from", start), ("to", end)) if time is not None}
        hold = await _claim(ask, request)
        self._live.append(hold)
        try:
            yield hold
        finally:
            self._live.remove(hold)
            is_cancelled = trio.current_effective_deadline() == -inf
            with trio.move_on_after(CANCELLED_RELEASE_TIMEOUT if is_cancelled else RELEASE_TIMEOUT, shield=True):
                await hold.release()


async def _claim(ask: Ask, request: dict[str, Any]) -> Hold:
    """Return a hold, once it is granted; one that was taken back since its answer was too late is asked for anew."""
    while True:
        id = str(uuid4())
        try:
            answer = await ask({**request, "holdId": id})
        except trio.Cancelled:
            # It may be granted all the same.
            with trio.move_on_after(CANCELLED_RELEASE_TIMEOUT, shield=True), suppress(RequestError, RefusedError):
                await ask({"type": "table.release", "holdId": id})
            raise
        if answer["type"] == "selected":
            tables, ends_at = tuple(answer["tableIds"]), trio.current_time() + answer["expiresIn"]
            return Hold(answer["holdId"], tables, answer["from"], answer["to"], answer["token"], request, ask, ends_at)
        if answer["reason"] != Ended.ABANDONED:
            raise RequestError(answer["reason"], f"The hold had ended when it was answered: {answer['reason']}.")


def _text(time: datetime | str) -> str:
    """Return a time as RFC 3339 has it. Raises `ValueError` where it may be in any zone."""
    if isinstance(time, str):
        return time
    if time.tzinfo is None:
        raise ValueError("a slot's times need a time zone, such as datetime.UTC")
    return time.isoformat()
