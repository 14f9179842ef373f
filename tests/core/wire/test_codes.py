import pytest

from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.codes import CLOSE_CODES, ERROR_CODES, CloseCode, ErrorCode
from mesaya_ws.core.wire.frames import close_frame

DEFINED = vars(codes).values()


def test_the_tables_hold_all_there_is():
    assert {code.code for code in DEFINED if isinstance(code, CloseCode)} <= CLOSE_CODES.keys()
    assert {error.name for error in DEFINED if isinstance(error, ErrorCode)} == ERROR_CODES.keys()


def test_names_are_unique():
    assert len({close.name for close in CLOSE_CODES.values()}) == len(CLOSE_CODES)


@pytest.mark.parametrize("close", CLOSE_CODES.values(), ids=lambda close: close.name)
def test_a_close_code_is_one_that_may_be_sent_and_says_what_it_means(close):
    """RFC 6455, 7.4.2: 1000-2999 is the protocol's own, 4000-4999 is for private use."""
    assert close.code in range(1000, 1015) or close.code in range(4000, 5000)
    assert close.meaning.endswith(".")
    assert len(close_frame(close.code, close.name)) <= 127


@pytest.mark.parametrize("error", ERROR_CODES.values(), ids=ERROR_CODES)
def test_an_error_code_is_a_word_and_says_what_it_means(error):
    assert error.name.replace("_", "").isalpha()
    assert error.name.islower()
    assert error.meaning.endswith(".")


def test_who_did_nothing_wrong_may_come_back():
    again = {close.name for close in CLOSE_CODES.values() if close.reconnect}
    ours = {"internal_error", "service_restart", "try_again_later", "message_timeout"}
    assert again == {"normal", "abnormal", "slow", "ping_timeout", *ours}
