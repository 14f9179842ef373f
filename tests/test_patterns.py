"""No regular expression takes longer than its input is long: whoever sends it would decide how long we take."""

import ast
import importlib
import re
from functools import partial
from itertools import product
from re import _constants as sre
from re import _parser

import pytest

from mesaya_ws.eventlog.kafka.contacts import _NOT_THERE
from mesaya_ws.eventlog.kafka.diagnosis import _SENTENCES
from tests.test_architecture import MODULES, PACKAGE
from tests.timing import is_long, seconds

SIZES = (1000, 8000, 65_536)
METHODS = ("fullmatch", "match", "search", "findall", "finditer", "sub", "split")
IN_TABLES = {
    "eventlog/kafka/contacts.py": [pattern for pattern, _ in _NOT_THERE],
    "eventlog/kafka/diagnosis.py": [pattern for pattern, _ in _SENTENCES],
}
"""Those that a module holds elsewhere than in the call."""


def patterns():
    """Yield (module, pattern, method) for every regular expression that is written down in the package."""
    for path in MODULES:
        name = str(path.relative_to(PACKAGE))
        module = ".".join(("mesaya_ws", *path.relative_to(PACKAGE).with_suffix("").parts))
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("re."):
                continue
            method = ast.unparse(node.func).removeprefix("re.")
            if method in METHODS:
                first = node.args[0]
                found = [first.value] if isinstance(first, ast.Constant) else IN_TABLES[name]
                yield from ((name, pattern, method) for pattern in found)
        for variable, value in vars(importlib.import_module(module)).items() if "re.compile" in text else ():
            if isinstance(value, re.Pattern) and re.search(rf"^{variable} = re\.compile", text, re.MULTILINE):
                for method in METHODS:
                    if any(f"{variable}.{method}(" in other.read_text(encoding="utf-8") for other in MODULES):
                        yield name, value, method


def sample(parsed, repeated, spoilers):
    """Return something that matches, as short as it can be without leaving out what is optional.

    Collects the characters that may be repeated, and those that a class excludes.
    """
    text = ""
    for operation, argument in parsed:
        match operation:
            case sre.LITERAL:
                text += chr(argument)
            case sre.IN:
                text += one_of(argument, spoilers)
            case sre.ANY | sre.NOT_LITERAL:
                text += "a"
            case sre.SUBPATTERN:
                text += sample(argument[-1], repeated, spoilers)
            case sre.BRANCH:
                text += next(sample(branch, repeated, spoilers) for branch in argument[1])
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                least, most, part = argument
                found = sample(part, repeated, spoilers)
                repeated |= set(found)
                text += found * max(least, min(1, int(most)))
            case sre.AT:
                pass
            case _:
                raise NotImplementedError(operation)
    return text


def one_of(members, spoilers):
    """Return a character of a class."""
    named, negated = set(), False
    for operation, argument in members:
        match operation:
            case sre.NEGATE:
                negated = True
            case sre.LITERAL:
                named.add(chr(argument))
            case sre.RANGE:
                named |= {chr(code) for code in range(argument[0], argument[1] + 1)}
            case sre.CATEGORY:
                named |= set("0123456789" if argument is sre.CATEGORY_DIGIT else " \t")
    if negated:
        spoilers |= named
    allowed = {chr(code) for code in range(1, 128)} - named if negated else named
    return min(allowed, key=lambda letter: (not letter.isalnum(), letter))


def slowest(pattern, method):
    """Return the processor time of the worst attack on a pattern, and what it was; that of the first that takes long.

    The attacks are what would match, with what may be repeated in it, or a blank, repeated anywhere, and spoiled at the
    end. Where nothing may be repeated, nothing is done twice.
    """
    pattern = re.compile(pattern)
    is_text = isinstance(pattern.pattern, str)
    repeated, spoilers = set(), {"\0", "\n"}
    source = pattern.pattern if is_text else pattern.pattern.decode("latin-1")
    good = sample(_parser.parse(source, pattern.flags & ~re.UNICODE), repeated, spoilers)
    worst = (0.0, "")
    for size, at in product(SIZES, range(len(good) + 1)) if repeated else ():
        ends = sorted({"", *spoilers, good[at:], f"{good[at:]}\0"})
        for letter, end in product(sorted({*repeated, " ", "\t"}), ends):
            attack = good[:at] + letter * size + end
            subject = attack if is_text else attack.encode("latin-1")
            do = partial(getattr(pattern, method), *((subject[:0], subject) if method == "sub" else (subject,)))
            took = seconds(do)
            if is_long(took):  # or something else came between
                took = min(took, seconds(do))
            worst = max(worst, (took, f"{good[:at]!r} + {letter!r} * {size} + {end!r}"))
            if is_long(took):
                return worst
    return worst


@pytest.mark.parametrize(
    ("module", "pattern", "method"),
    [pytest.param(*found, id=f"{found[0]}-{number}") for number, found in enumerate(patterns())],
)
def test_every_regular_expression_is_linear(module, pattern, method):
    took, attack = slowest(pattern, method)
    assert not is_long(took), f"{module}: {pattern} takes {took * 1000:.0f} ms for {attack}"


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"([!-9;-~]+):[ \t]*(.*?)[ \t]*", "fullmatch"),
        (rb"([!-9;-~]+):[ \t]*((?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?)[ \t]*", "fullmatch"),
        (rb"([0-9a-f]{1,20})(;.*)?[ \t]*\r\n", "fullmatch"),
        (r"https?://([^/?#]+)([^#]*)", "fullmatch"),
        (r"[a-z]+ HTTP", "search"),
    ],
)
@pytest.mark.slow
def test_what_is_not_linear_is_noticed(pattern, method):
    """The first is what once read the headers here; the next two are those of h11."""
    assert is_long(slowest(pattern, method)[0])
