"""What the ways to publish by HTTP have in common: who may use them, reading a body, and the answer."""

import hmac
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
import trio
from cattrs.errors import ClassValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.core.wire.json_text import MAX_NODES, has_too_many_nodes, read_json
from mesaya_ws.core.wire.origins import may_be_rebound
from mesaya_ws.core.wire.structuring import first_problem, strict_converter
from mesaya_ws.runtime.logs import bind_context
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.server.publishing import Publisher, UnknownTopicError, UnusableRecordError
from mesaya_ws.settings import Settings

LONGEST_HOST = 300
"""Characters of a host that an answer repeats; the longest names have some 260."""

BODY_SECONDS = 20.0
"""Time for a body to arrive."""

Body = TypeVar("Body")
_CONVERTER = strict_converter()


def authorize(request: Request, settings: Settings) -> None:
    """Raise `ApiError` unless the request bears PUBLISH_TOKEN (RFC 6750, 2.1)."""
    if not settings.publish_token:
        raise ApiError(http_errors.PUBLISH_DISABLED, "Publishing by HTTP is off; set PUBLISH_TOKEN to turn it on.")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    # Headers are read as Latin-1, which gives the bytes back; some of them would count as blanks there.
    given, wanted = token.strip(" \t").encode("latin-1"), settings.publish_token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, wanted):
        raise ApiError(
            http_errors.UNAUTHORIZED,
            "Send PUBLISH_TOKEN as `Authorization: Bearer …`.",
            WWW_Authenticate="Bearer",
        )


def check_host(request: Request, settings: Settings) -> None:
    """Raise `ApiError` where a page of anybody may ask; for what is open because of AUTH=off, and needs no token."""
    host = request.headers.get("host", "")
    if may_be_rebound(host, settings.allowed_origins):
        raise ApiError(
            http_errors.HOST_NOT_ALLOWED,
            f"With AUTH=off, this is not answered under the name {host[:LONGEST_HOST]!r}, which a page of anybody may "
            "have: call it by its address, or list http://name in ALLOWED_ORIGINS.",
        )


async def read_object(request: Request, settings: Settings) -> dict[str, Any]:
    """Return the JSON object that the body holds. Raises `ApiError`."""
    with trio.move_on_after(BODY_SECONDS) as patience:
        body = await _read_body(request, settings.max_body_bytes)
    if patience.cancelled_caught:
        raise ApiError(http_errors.BODY_TOO_LATE, "The body of the request took too long.")
    if has_too_many_nodes(body):
        raise ApiError(http_errors.BODY_TOO_LARGE, f"The body has too many members (more than {MAX_NODES}).")
    try:
        value = read_json(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(http_errors.BAD_JSON, f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError(http_errors.BAD_JSON, "The body is not a JSON object.")
    return value


async def _read_body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    length = int(request.headers.get("content-length", "0"))
    async with aclosing(request.stream()) as parts:
        while length <= max_bytes:
            try:
                body += await anext(parts)
            except StopAsyncIteration:
                return bytes(body)
            length = max(length, len(body))
    raise ApiError(http_errors.BODY_TOO_LARGE, "The body is too large (MAX_BODY_BYTES).")


def structure(value: dict[str, Any], kind: type[Body]) -> Body:
    """Return `value` as an instance of `kind`. Raises `ApiError` that says which field is wrong."""
    try:
        return _CONVERTER.structure(value, kind)
    except ClassValidationError as error:
        raise bad_message(f"In the body, {first_problem(error)}.") from None


def bad_message(sentence: str) -> ApiError:
    """Return the error of a body that is JSON, but does not say what it should."""
    return ApiError(http_errors.BAD_MESSAGE, sentence)


def require_id(name: str, value: str) -> None:
    """Raise `ApiError` for what is no id; the sentence begins with its `name`."""
    if IDENTIFIER.fullmatch(value) is None:
        raise bad_message(f"{name} must be {IDENTIFIER_FORM}")


async def publish(publisher: Publisher, topic: str, value: dict[str, Any], key: str | None = None) -> Response:
    """Publish a platform record, and answer 201 with its place once the log has acknowledged it. Raises `ApiError`."""
    try:
        place = await publisher.publish(NewRecord(topic, _encode(value), None if key is None else key.encode()))
    except UnknownTopicError as error:
        raise ApiError(http_errors.UNKNOWN_TOPIC, str(error)) from None
    except UnusableRecordError as error:
        raise ApiError(http_errors.BAD_RECORD, str(error)) from None
    except RecordRejectedError as error:
        raise ApiError(http_errors.REFUSED, str(error)) from None
    except LogUnavailableError as error:
        raise ApiError(http_errors.LOG_UNAVAILABLE, str(error)) from None
    answer = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    bind_context(**answer)
    return JSONResponse(answer, HTTPStatus.CREATED)


def _encode(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # it has been read as JSON
        raise bad_message("The value is nested too deeply.") from None
