"""What the service sends: JSON objects in text frames, distinguished by `type`."""

import orjson

from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.messages import Id

_POSITION = b'"position":"'


def error_frame(error: codes.ErrorCode, sentence: str) -> bytes:
    """Return a text frame that reports an error to a client, of which no message of its own is the cause."""
    return text_frame(encode("error", code=error.name, message=sentence))


def encode(kind: str, **fields: object) -> bytes:
    """Return a message of the service as JSON; fields that are None are left out."""
    message: dict[str, object] = {"type": kind}
    for name, value in fields.items():
        if value is not None:
            message[name] = value  # noqa: PERF403 - for every message: a comprehension makes another dictionary, in a call
    return orjson.dumps(message)


def encode_with_nulls(kind: str, id: Id, **fields: object) -> bytes:
    """Return an answer of the service as JSON, in which fields that are None are null; but for the id."""
    answered = {} if id is None else {"id": id}
    return orjson.dumps({"type": kind, **answered, **fields})


def position_of(frame: bytes) -> str:
    """Return the position that the frame of an event holds; it stands before the data, whatever their size."""
    start = frame.index(_POSITION) + len(_POSITION)
    return frame[start : frame.index(b'"', start)].decode()
