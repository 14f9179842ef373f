"""What the ways in have in common: who may use them, reading a body, and appending to the log."""

import hmac
from collections.abc import Collection
from contextlib import aclosing
from http import HTTPStatus
from time import time
from typing import Any, TypeVar

import orjson
import trio
from cattrs.errors import ClassValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.platform.envelope import Rejected, decode, mistyped_id
from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.json_text import MAX_NODES, has_too_many_nodes, read_json
from mesaya_ws.core.wire.structuring import first_problem, strict_converter
from mesaya_ws.runtime.logs import bind_context
from mesaya_ws.server.http.errors import ApiError
from mesaya_ws.settings import Settings

BODY_SECONDS = 20.0
"""Time for a body to arrive."""

APPEND_SECONDS = 25.0
"""Time for the log to acknowledge: longer than its own patience, which knows better what is wrong."""

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


async def append(
    event_log: EventLog, topics: Collection[str], topic: str, value: dict[str, Any], key: str | None = None
) -> Response:
    """Append a platform record, and answer 201 with its place once the log has acknowledged it.

    What would come to nothing is refused: a topic that is none of `topics`, a record that this service would not
    understand when it reads it back. Raises `ApiError`.
    """
    if topic not in topics:
        raise ApiError(http_errors.UNKNOWN_TOPIC, f"{topic!r} is none of KAFKA_TOPICS.")
    record = NewRecord(topic, _encode(value), None if key is None else key.encode())
    _expect_sense(record)
    try:
        with trio.fail_after(APPEND_SECONDS):
            [place] = await event_log.append([record])
    except RecordRejectedError as error:
        raise ApiError(http_errors.REFUSED, str(error)) from None
    except (LogUnavailableError, trio.TooSlowError) as error:
        sentence = f"The event log did not acknowledge; the record may or may not have been appended. {error}"
        raise ApiError(http_errors.LOG_UNAVAILABLE, sentence.strip()) from None
    answer = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    bind_context(**answer)
    return JSONResponse(answer, HTTPStatus.CREATED)


def _encode(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # it has been read as JSON
        raise bad_message("The value is nested too deeply.") from None


def _expect_sense(record: NewRecord) -> None:
    meaning = decode(Record(record.topic, 0, 0, round(time() * 1000), record.key, record.value))
    if isinstance(meaning, Rejected):
        sentence = meaning.detail or f"Such a record is not sent to anybody: {meaning.reason}."
    elif (needed := mistyped_id(meaning)) is not None:
        sentence = f"The {needed} is no id; without it nobody is concerned."
    else:
        return
    raise ApiError(http_errors.BAD_RECORD, sentence)
