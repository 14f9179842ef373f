"""What clients and the service say to one another: JSON objects in text frames, told apart by `type`."""

from typing import Any, NoReturn

import orjson
from attrs import frozen
from cattrs import Converter
from cattrs.errors import ClassValidationError

from mesaya_ws.core import closing


@frozen
class Subscribe:
    """`{"type": "subscribe", "channel": …}`.

    With the `position` of the last event seen, to go on from there; with `snapshot: true`, to be told the state first.
    """

    channel: str
    id: str | None = None
    position: str | None = None
    snapshot: bool = False


@frozen
class Unsubscribe:
    """`{"type": "unsubscribe", "channel": …}`."""

    channel: str
    id: str | None = None


@frozen
class Ping:
    """`{"type": "ping"}`: for clients that cannot send ping frames (browsers)."""

    id: str | None = None


ClientMessage = Subscribe | Unsubscribe | Ping
TYPES: dict[str, type[ClientMessage]] = {"subscribe": Subscribe, "unsubscribe": Unsubscribe, "ping": Ping}


class Refusal(Exception):  # noqa: N818 - an answer rather than a fault
    """A message that is answered with an error; `id` and `channel` are echoed where the message held them."""

    def __init__(
        self, error: closing.ErrorCode, sentence: str, *, id: str | None = None, channel: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.error = error
        self.sentence = sentence
        self.id = id
        self.channel = channel


def strict_converter() -> Converter:
    """Return a cattrs converter that takes JSON's types for what they are.

    cattrs itself makes text of any value, and whole numbers of fractions.
    """
    converter = Converter(detailed_validation=True, prefer_attrib_converters=False)
    for wanted in (str, int, float, bool, dict, list):
        converter.register_structure_hook(wanted, _exactly(wanted))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(lambda wanted: wanted == str | None, _optional_text)
    converter.register_structure_hook_func(
        lambda wanted: wanted == float | None, lambda value, _: None if value is None else _number(value, _)
    )
    converter.register_structure_hook_func(lambda wanted: wanted == dict[str, Any], _exactly(dict))
    return converter


def _exactly(wanted: type) -> Any:
    def structure(value: object, _: object) -> object:
        if type(value) is not wanted:
            raise TypeError(f"must be {_NAMES[wanted]}, not {_NAMES.get(type(value), 'null')}")
        return value

    return structure


def _number(value: object, _: object) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"must be a number, not {_NAMES.get(type(value), 'null')}")
    return value  # type: ignore[return-value]  # an int is a number


def _optional_text(value: object, _: object) -> str | None:
    if value is not None and type(value) is not str:
        raise TypeError(f"must be text, not {_NAMES.get(type(value), 'null')}")
    return value


_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a fraction",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
_CONVERTER = strict_converter()


def first_problem(error: ClassValidationError) -> str:
    """Say in a few words what first kept cattrs from structuring an object: `channel must be text…`."""
    cause = error.exceptions[0]
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, KeyError):
        return f"{cause.args[0]} is missing"
    notes = getattr(cause, "__notes__", [])
    field = next((note.name for note in reversed(notes) if hasattr(note, "name")), "a field")
    return f"{field} {cause}"


def parse(text: str) -> ClientMessage:
    """Understand a client's message. Raises `Refusal` with the error to answer."""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(closing.BAD_JSON, f"The message is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise Refusal(closing.BAD_JSON, 'A message is a JSON object with a "type".')
    kind = fields.pop("type", None)
    if not isinstance(kind, str):
        _refuse(fields, closing.BAD_MESSAGE, 'A message needs a "type", which is text.')
    if kind not in TYPES:
        _refuse(
            fields, closing.UNKNOWN_TYPE, f"No message of type {kind[:64]!r} exists; there are: {', '.join(TYPES)}."
        )
    try:
        return _CONVERTER.structure(fields, TYPES[kind])
    except ClassValidationError as error:
        _refuse(fields, closing.BAD_MESSAGE, f"In {kind!r}, {first_problem(error)}.")


def _refuse(fields: dict[str, Any], error: closing.ErrorCode, sentence: str) -> NoReturn:
    def text(name: str) -> str | None:
        value = fields.get(name)
        return value if isinstance(value, str) else None

    raise Refusal(error, sentence, id=text("id"), channel=text("channel"))


def encode(kind: str, **fields: object) -> bytes:
    """Return a message of the service as JSON; fields that are None are left out."""
    return orjson.dumps({"type": kind, **{name: value for name, value in fields.items() if value is not None}})
