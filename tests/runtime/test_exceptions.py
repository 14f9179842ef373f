from mesaya_ws.runtime.exceptions import first, only

LOST = LookupError("x")


def test_first_returns_the_first_leaf_at_any_depth():
    assert first(ExceptionGroup("", [ExceptionGroup("", [LOST, ValueError()]), OSError()])) is LOST


def test_only_returns_an_error_of_the_given_kinds():
    assert only(LOST, OSError, LookupError) is LOST
    assert only(ExceptionGroup("", [ExceptionGroup("", [LOST]), OSError()]), OSError, LookupError) is LOST
    assert only(BaseExceptionGroup("", [KeyboardInterrupt()]), KeyboardInterrupt)


def test_only_with_other_errors_returns_none():
    assert only(LOST, OSError) is None
    assert only(ExceptionGroup("", [LOST, OSError()]), LookupError) is None
    assert only(BaseExceptionGroup("", [LOST, KeyboardInterrupt()]), LookupError) is None
