"""How the HTTP side says no: JSON with a code and a sentence."""

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus

from attrs import evolve
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesaya_ws.core.wire.http_errors import (
    BAD_REQUEST,
    INTERNAL,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    UNKNOWN_METHOD,
    HttpError,
)
from mesaya_ws.runtime.logs import bind_context

NO_DETAILS: Mapping[str, object] = {}


class ApiError(Exception):
    """An error to be answered, with a sentence for people, and `details` for programs."""

    def __init__(
        self, error: HttpError, sentence: str, *, details: Mapping[str, object] = NO_DETAILS, **headers: str
    ) -> None:
        super().__init__(sentence)
        self.details = details
        self.error = error
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def error_response(
    error: HttpError,
    sentence: str,
    headers: Mapping[str, str] | None = None,
    details: Mapping[str, object] = NO_DETAILS,
) -> Response:
    """Return the answer that bears an error."""
    bind_context(code=error.code)
    return JSONResponse({"error": {"code": error.code, "message": sentence, **details}}, error.status, headers)


async def answer_api_error(_: Request, error: Exception) -> Response:
    """Answer an `ApiError`."""
    assert isinstance(error, ApiError)  # noqa: S101 - starlette's handlers are registered by class
    return error_response(error.error, error.sentence, error.headers, error.details)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what starlette found wrong with the path or the method; OPTIONS gets the methods (RFC 9110, 9.3.7)."""
    assert isinstance(error, HTTPException)  # noqa: S101 - starlette's handlers are registered by class
    path = request.scope["path"]  # `request.url` is made of what the client says, and may be none
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return error_response(NOT_FOUND, f"There is nothing at {path}.", error.headers)
        case HTTPStatus.METHOD_NOT_ALLOWED if request.method == "OPTIONS":
            allowed = ", ".join(sorted({"OPTIONS", *(error.headers or {}).get("Allow", "").split(", ")}))
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": allowed})
        case HTTPStatus.METHOD_NOT_ALLOWED if request.method not in HTTPMethod.__members__:
            return error_response(UNKNOWN_METHOD, f"{request.method[:40]} is no method that is known here.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return error_response(METHOD_NOT_ALLOWED, f"{request.method} is not for {path}.", error.headers)
        case status:
            return error_response(evolve(BAD_REQUEST, status=HTTPStatus(status)), error.detail, error.headers)


async def answer_fault(_: Request, __: Exception) -> Response:
    """Answer for a fault of ours; it is logged elsewhere."""
    return error_response(INTERNAL, "The service met a fault of its own.")
