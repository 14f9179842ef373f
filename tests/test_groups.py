from mesaya_ws.groups import first


def test_the_first_error_however_deep_it_lies():
    inner = LookupError("x")
    assert first(ExceptionGroup("", [ExceptionGroup("", [inner, ValueError()]), OSError()])) is inner
