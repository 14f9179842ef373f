"""What the ways in have in common: who may use them, reading a body, and appending to the log."""

import hmac
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from cattrs.errors import ClassValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesaya_ws.core.event_log import EventLog, LogUnavailableError, NewRecord, Record, RecordRefusedError
from mesaya_ws.core.protocol import first_problem, strict_converter
from mesaya_ws.core.records import Unreadable, understand
from mesaya_ws.http_api.errors import ApiError
from mesaya_ws.settings import Settings

Body = TypeVar("Body")
_CONVERTER = strict_converter()


def authorize(request: Request, settings: Settings) -> None:
    """Raise `ApiError` unless the request bears PUBLISH_TOKEN (RFC 6750, 2.1)."""
    if not settings.publish_token:
        raise ApiError(
            HTTPStatus.FORBIDDEN, "publish_disabled", "Publishing by HTTP is off; set PUBLISH_TOKEN to turn it on."
        )
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), settings.publish_token.encode()):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "Send PUBLISH_TOKEN as `Authorization: Bearer …`.",
            WWW_Authenticate="Bearer",
        )


async def read_object(request: Request, settings: Settings) -> dict[str, Any]:
    """Return the JSON object that the body holds. Raises `ApiError`."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > settings.max_body_bytes:
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "The body is too large (MAX_BODY_BYTES).")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_json", f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_json", "The body is not a JSON object.")
    return value


def structure(value: dict[str, Any], kind: type[Body]) -> Body:
    """Return `value` as an instance of `kind`. Raises `ApiError` that says which field is wrong."""
    try:
        return _CONVERTER.structure(value, kind)
    except ClassValidationError as error:
        problem = first_problem(error)
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_message", f"In the body, {problem}.") from None


async def append(event_log: EventLog, topic: str, value: dict[str, Any], key: str | None = None) -> Response:
    """Append a platform record, and answer with its place once the log has acknowledged it.

    A record that this service would not understand when it reads it back is refused here.
    """
    encoded = orjson.dumps(value)
    coded_key = None if key is None else key.encode()
    meaning = understand(Record(topic, 0, 0, 0, coded_key, encoded))
    if isinstance(meaning, Unreadable):
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "not_understood", meaning.detail or str(meaning.reason))
    try:
        [place] = await event_log.append([NewRecord(topic, encoded, coded_key)])
    except RecordRefusedError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "refused", str(error)) from None
    except LogUnavailableError as error:
        sentence = f"The event log did not acknowledge; the record may or may not have been appended. {error}"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "log_unavailable", sentence.strip()) from None
    answer = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    return JSONResponse(answer, HTTPStatus.CREATED)
