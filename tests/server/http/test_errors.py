from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from mesaya_ws.core.wire.http_errors import UNAUTHORIZED
from mesaya_ws.server.http.errors import ApiError, answer_api_error, answer_fault, answer_http_exception
from tests.server.http.client import get


def app_that_raises(error):
    async def fail(request):
        raise error

    handlers = {ApiError: answer_api_error, HTTPException: answer_http_exception, Exception: answer_fault}
    return Starlette(routes=[Route("/", fail)], exception_handlers=handlers)


async def test_an_api_error_has_status_code_sentence_and_headers():
    error = ApiError(UNAUTHORIZED, "Who are you?", WWW_Authenticate="Bearer")
    answer = await get(app_that_raises(error), "/")
    assert answer.status == 401
    assert answer.json == {"error": {"code": "unauthorized", "message": "Who are you?"}}
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_what_starlette_raises_has_a_code_and_a_sentence_too():
    answer = await get(app_that_raises(HTTPException(400, "That was not well-formed.", {"X-Why": "because"})), "/")
    assert answer.json == {"error": {"code": "bad_request", "message": "That was not well-formed."}}
    assert answer.headers["x-why"] == "because"


async def test_internal_error_says_nothing_of_its_cause(logged):
    answer = await get(app_that_raises(LookupError("a secret")), "/")
    assert (answer.status, answer.error) == (500, "internal")
    assert b"secret" not in answer.body
