"""How the HTTP side says no: JSON with a code and a sentence."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class ApiError(Exception):
    """An error to be answered: a status, a code for programs, a sentence for people."""

    def __init__(self, status: HTTPStatus, code: str, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _answer(status: int, code: str, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": sentence}}, status, headers)


async def answer_api_error(_: Request, error: Exception) -> Response:
    """Answer an `ApiError`."""
    assert isinstance(error, ApiError)  # noqa: S101 - starlette's handlers are registered by class
    return _answer(error.status, error.code, error.sentence, error.headers)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what starlette found wrong with the path or the method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - starlette's handlers are registered by class
    status = HTTPStatus(error.status_code)
    sentences = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not for {request.url.path}.",
    }
    code = status.phrase.lower().replace(" ", "_")
    return _answer(status, code, sentences.get(status, error.detail), dict(error.headers or {}))


async def answer_fault(_: Request, __: Exception) -> Response:
    """Answer for a fault of ours; it is logged elsewhere."""
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The service met a fault of its own.")
