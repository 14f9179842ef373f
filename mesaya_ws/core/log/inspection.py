"""What an inspection finds: what is not as it should be, as a sentence for a person."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mesaya_ws.core.log.records import OffsetRange, Partition


class Finding(NamedTuple):
    """A whole `sentence` that names what is wrong and what to do; as an error, the service cannot do what it should."""

    is_error: bool
    sentence: str


def error(sentence: str) -> Finding:
    """Return a finding without whose mending the service cannot do what it should."""
    return Finding(True, sentence)


def warning(sentence: str) -> Finding:
    """Return a finding with which it can, but not as safely or as well as it could."""
    return Finding(False, sentence)


class Inspection(NamedTuple):
    """What an event log holds, and what is wrong with it."""

    extents: Mapping[Partition, OffsetRange]
    findings: Sequence[Finding]
