import pytest
from attrs import frozen
from cattrs.errors import ClassValidationError

from mesaya_ws.core.wire.structuring import first_problem, strict_converter


@frozen
class Sample:
    number: int
    amount: float
    flag: bool
    data: dict
    note: str | None = None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("number", 5.9, "number must be a whole number, not a fraction"),
        ("number", True, "number must be a whole number, not true or false"),
        ("number", "5", "number must be a whole number, not text"),
        ("amount", "5", "amount must be a number, not text"),
        ("flag", "on", "flag must be true or false, not text"),
        ("data", [], "data must be an object, not a list"),
        ("note", 5, "note must be text, not a whole number"),
    ],
)
def test_the_converter_takes_types_for_what_they_are(name, value, problem):
    good = {"number": 1, "amount": 2, "flag": True, "data": {}}
    assert strict_converter().structure(good, Sample) == Sample(1, 2, True, {})
    with pytest.raises(ClassValidationError) as caught:
        strict_converter().structure(good | {name: value}, Sample)
    assert first_problem(caught.value) == problem
