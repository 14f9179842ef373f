from mesaya_ws.runtime.exceptions import first, only

LOST = LookupError("x")


def test_the_first_error_however_deep_it_lies():
    assert first(ExceptionGroup("", [ExceptionGroup("", [LOST, ValueError()]), OSError()])) is LOST


def test_an_error_of_the_kinds_that_are_asked_for():
    assert only(LOST, OSError, LookupError) is LOST
    assert only(ExceptionGroup("", [ExceptionGroup("", [LOST]), OSError()]), OSError, LookupError) is LOST
    assert only(BaseExceptionGroup("", [KeyboardInterrupt()]), KeyboardInterrupt)


def test_errors_of_other_kinds_are_not_passed_over():
    assert only(LOST, OSError) is None
    assert only(ExceptionGroup("", [LOST, OSError()]), LookupError) is None
    assert only(BaseExceptionGroup("", [LOST, KeyboardInterrupt()]), LookupError) is None
