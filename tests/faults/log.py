"""An event log as the platform and an administrator see it: written to by other programs, and read back whole."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mesaya_ws.core.log.records import NewRecord


class Held(NamedTuple):
    """A record that the log holds, or has held.

    `source` is the sequence whose order is the log's own; `life` counts how often its topic had been created again.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    life: int
    source: object


class Log(Protocol):
    """What a scenario needs of a log."""

    name: str
    settings: dict[str, str]
    """Those by which a gateway uses it."""

    async def write(self, records: Sequence[NewRecord]) -> None:
        """Write records as a service of the platform does, which may not wait until they are acknowledged."""
        ...

    async def settle(self) -> None:
        """Return when all that was written is acknowledged."""
        ...

    async def read_back(self) -> list[Held]:
        """Return all that the log holds, and what it held whenever this was asked before, in the log's order."""
        ...

    async def read_topic(self, topic: str) -> list[Held]:
        """Return all that the log holds of one topic, which need not be one of the platform's, by partition."""
        ...

    async def write_unreadable(self) -> None:
        """Write what readers of this log cannot even decode, if there is such a thing."""
        ...

    async def remove(self, *topics: str) -> list[Held]:
        """Remove all records of some topics, as retention does, and return them."""
        ...

    async def recreate(self, topic: str) -> None:
        """Delete a topic, or all of a log that cannot do so, and create it again."""
        ...
