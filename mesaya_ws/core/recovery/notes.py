"""What the state store keeps of the log beside publications: the cut, and what its notes say."""

from collections.abc import Mapping
from typing import Any

import orjson

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.barriers import Barrier, barrier_in
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.state.interface import CorruptStateError


def unpublished_note(partition: Partition, next_offset: int) -> bytes:
    """Return a note that before an offset something was published to nobody, as its parent came later."""
    # `untold` is what stores that exist have it by.
    return orjson.dumps({"untold": [*partition, next_offset]})


def moved_note(partition: Partition, cut: Offsets) -> bytes:
    """Return a note that a record of `partition`, the last one of the `cut`, changed what belongs to the channel."""
    return orjson.dumps({"moved": [*partition], "cut": [[*at, offset] for at, offset in cut.items()]})


def barrier_note(barrier: Barrier) -> bytes:
    """Return a note that holds a barrier."""
    return orjson.dumps({"barrier": barrier.rows()})


def barrier_of(value: bytes) -> Barrier:
    """Return the barrier in a note. Raises `CorruptStateError`."""
    try:
        return barrier_in(orjson.loads(value)["barrier"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise CorruptStateError("The state holds a barrier that cannot be read.") from error


def is_kept(value: bytes, vector: Offsets) -> bool:
    """Return whether what a note says of a channel is no objection to a place. Raises `CorruptStateError`."""
    try:
        note: Mapping[str, Any] = orjson.loads(value)
        kinds = note.keys()
        if "untold" in kinds:
            topic, number, next_offset = note["untold"]
            return vector.get(Partition(topic, number), 0) >= int(next_offset)
        if "moved" in kinds:
            cut = {Partition(topic, number): offset for topic, number, offset in note["cut"]}
            moved = Partition(*note["moved"])
            is_before = all(vector.get(at, 0) >= offset for at, offset in cut.items())
            is_after = vector.get(moved, 0) < cut[moved] and all(
                offset <= cut.get(at, 0) for at, offset in vector.items()
            )
            return is_before or is_after
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptStateError("The state holds a note that cannot be read.") from error
    return True
