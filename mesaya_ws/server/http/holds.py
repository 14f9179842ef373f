"""`POST /holds` and `DELETE /holds/{holdId}`: table holds for services, such as the platform's backend."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import trio
from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.hold import Granted
from mesaya_ws.core.interactions.hold_records import RELEASED, Claim, Release, hold_record
from mesaya_ws.core.log.interface import RecordRejectedError
from mesaya_ws.core.log.records import Appended
from mesaya_ws.core.session.commands import AppendResult, Command
from mesaya_ws.core.session.hold_rules import Answer, HoldRules, released
from mesaya_ws.core.session.pending_claim import PendingClaim
from mesaya_ws.core.wire import codes, http_errors
from mesaya_ws.core.wire.messages import MessageError, SelectTables
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.http.request import authorize, read_object, require_id, structure
from mesaya_ws.settings import Settings

_ERRORS = {
    codes.BAD_MESSAGE: http_errors.BAD_MESSAGE,
    codes.UNKNOWN_RESTAURANT: http_errors.UNKNOWN_RESTAURANT,
    codes.NOT_FOUND: http_errors.UNKNOWN_TABLE,
    codes.CONFLICT: http_errors.CONFLICT,
    codes.TOO_MANY_HOLDS: http_errors.TOO_MANY_HOLDS,
}


@frozen
class HoldRequest:
    """`{"user", "restaurantId", "tableIds", "holdId", "from"?, "to"?}`: what is to be held for whom."""

    user: str
    restaurantId: str  # noqa: N815 - the wire's name
    tableIds: list[Any]  # noqa: N815
    holdId: str  # noqa: N815
    from_: str | None = None
    to: str | None = None


@define(eq=False)
class _Requester:
    """A request, as far as those who append know it; it `waits` until it is answered, or given up.

    Then it has the `result` of its command, and a claim its `outcome`.
    """

    id: str = "http"
    waits: bool = True
    result: AppendResult = field(init=False)
    outcome: Answer | None = field(init=False)
    answered: trio.Event = field(factory=trio.Event)

    def on_appended(self, command: Command, result: AppendResult) -> None:
        """Take the result."""
        try:
            command.answer(result)
        finally:
            self.result = result
            self.answered.set()


Append = Callable[[_Requester, Command], None]
"""Appends a command for a request, and reads it back; `on_appended` is called once."""


@frozen(eq=False)
class _Desk:
    """Where requests are decided; the claims of services bear a replica's name of their own (`replica`)."""

    rules: HoldRules
    feed: Published
    append: Append
    replica: str

    def claim(self, asked: HoldRequest) -> Claim:
        """Return the claim that a request makes. Raises `ApiError`."""
        require_id("user", asked.user)
        message = SelectTables(asked.restaurantId, asked.tableIds, asked.holdId, from_=asked.from_, to=asked.to)
        try:
            return self.rules.claim(message, asked.user, self.feed.known)._replace(replica=self.replica)
        except MessageError as error:
            raise ApiError(_ERRORS[error.error], error.sentence) from None

    async def decide(self, claim: Claim) -> Answer:
        """Return what a claim has come to, once it is read back; one that nobody learns of is taken back."""
        if (known := self.rules.answer_at_once(claim, self.feed.known, lag=self.feed.lag)) is not None:
            return known
        requester = _Requester()
        pending = PendingClaim(claim, self.rules, self.feed, lambda: requester.waits)

        def answer(result: AppendResult) -> bytes:
            requester.outcome = pending.settle(result)
            return b""

        command = Command(hold_record(claim), answer, is_read_back=True, turn=pending.turn, key=claim)
        result = await self._append(requester, command)
        if requester.outcome is None:
            raise _error(result)
        return requester.outcome

    async def release(self, id: str, user: str | None) -> Answer:
        """Return what is said of a hold that has ended now, or before. Raises `ApiError`."""
        outcome = self.feed.known.hold_outcome(id)
        if outcome is None or (isinstance(outcome, Granted) and outcome.hold.ended is None):
            command = Command(hold_record(Release(id, user, RELEASED)), lambda _: b"", is_read_back=True)
            requester, ends = _Requester(), id if outcome is None else outcome.hold.id
            self.rules.release_asked(ends, requester)
            try:
                result = await self._append(requester, command)
            finally:
                self.rules.release_answered(ends, requester)
            if not isinstance(result, Appended):
                raise _error(result)
        match self.feed.known.hold_outcome(id):
            case Granted(hold) if hold.ended is not None and user in (None, hold.user):
                return released(hold)
        raise ApiError(http_errors.NOT_FOUND, f"There is no hold {id!r}, or it is another user's.")

    async def _append(self, requester: _Requester, command: Command) -> AppendResult:
        self.append(requester, command)
        try:
            await requester.answered.wait()
        finally:
            requester.waits = False
        return requester.result

    def require_live(self) -> None:
        """Raise `ApiError` while the log is still being read."""
        if not self.feed.live:
            raise ApiError(http_errors.LOG_UNAVAILABLE, "What the event log holds is still being read.")


def hold_routes(settings: Settings, rules: HoldRules, feed: Published, append: Append) -> tuple[Route, Route]:
    """Return the routes, both for who has PUBLISH_TOKEN; they answer when the log has decided.

    No connection ends the holds of services.
    """
    desk = _Desk(rules, feed, append, f"{rules.replica}.http")

    async def select(request: Request) -> Response:
        authorize(request, settings)
        asked = structure(await read_object(request, settings), HoldRequest)
        desk.require_live()
        answer = await desk.decide(desk.claim(asked))
        if answer.error is not None:
            raise ApiError(_ERRORS[answer.error], answer.sentence, details=answer.fields)
        if answer.kind == "released":
            sentence = f"The hold has ended: {answer.fields['reason']}."
            raise ApiError(http_errors.HOLD_ENDED, sentence, details=answer.fields)
        return JSONResponse(answer.fields, HTTPStatus.CREATED)

    async def release(request: Request) -> Response:
        authorize(request, settings)
        desk.require_live()
        id, user = request.path_params["holdId"], request.query_params.get("user")
        require_id("holdId", id)
        if user is not None:
            require_id("user", user)
        return JSONResponse((await desk.release(id, user)).fields)

    return Route("/holds", select, methods=["POST"]), Route("/holds/{holdId}", release, methods=["DELETE"])


def _error(result: AppendResult) -> ApiError:
    """Return the error that a result stands for."""
    if isinstance(result, RecordRejectedError):
        return ApiError(http_errors.REFUSED, str(result))
    sentence = str(result) if isinstance(result, Exception) else "The record was read, and nothing is known of it."
    return ApiError(http_errors.LOG_UNAVAILABLE, sentence)
