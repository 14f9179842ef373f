import pytest

from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.http_errors import HTTP_ERRORS, HttpError


def test_none_is_left_out_and_they_are_in_order():
    assert set(HTTP_ERRORS) == {value for value in vars(http_errors).values() if isinstance(value, HttpError)}
    statuses = [error.status for error in HTTP_ERRORS]
    assert statuses == sorted(statuses)


def test_a_code_means_one_thing():
    codes = [error.code for error in HTTP_ERRORS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", HTTP_ERRORS, ids=lambda error: error.code)
def test_they_are_refusals_with_a_sentence(error):
    assert 400 <= error.status < 600
    assert error.code.isidentifier()
    assert error.meaning.endswith(".")
