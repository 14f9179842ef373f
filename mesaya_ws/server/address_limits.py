"""What one address may have: open connections, and WebSocket handshakes over time."""

from collections import OrderedDict

from attrs import define

from mesaya_ws.core.access.connection_limit import ConnectionLimit
from mesaya_ws.core.wire.frame_limits import BURST_SECONDS, Bucket

MAX_ADDRESSES = 50_000
"""Addresses whose handshakes are remembered; some 300 bytes each."""


@define
class _Handshakes:
    """What an address has left, and when it last took of it."""

    allowance: Bucket
    used_at: float = 0.0


class AddressLimits:
    """Counts by address, whose keys are those of `addresses.address_key`; a limit of 0 is none.

    What is kept is bounded: an entry for each address that has a connection, and `max_addresses` allowances of
    handshakes. An allowance that nobody has used for `BURST_SECONDS` is full again, as a new one is, and is dropped;
    past the bound, so is the one that has been unused for longest. Every method takes the same time, however many there
    are. Times are in seconds by any clock that only goes forward.
    """

    def __init__(self, max_connections: int, handshakes_per_second: float, max_addresses: int = MAX_ADDRESSES) -> None:
        self.connections = ConnectionLimit(max_connections)
        self._handshakes_per_second = handshakes_per_second
        self._max_addresses = max_addresses
        self._handshakes: OrderedDict[str, _Handshakes] = OrderedDict()
        self.is_active = bool(max_connections or handshakes_per_second)
        """Whether there is any limit; if not, there is no need to know where clients are."""

    @property
    def remembered(self) -> int:
        """Of how many addresses the handshakes are remembered."""
        return len(self._handshakes)

    def admit_handshake(self, address: str, now: float) -> bool:
        """Count a handshake; return False when the address has no more at present."""
        if not self._handshakes_per_second:
            return True
        # At least one: at less than one in ten seconds, there would never be any.
        found = self._handshakes.pop(address, None) or _Handshakes(Bucket(self._handshakes_per_second, least=1))
        found.used_at = now
        self._handshakes[address] = found
        # Two at a time: so those that are not needed become fewer, whatever comes.
        for _ in range(2):
            oldest, unused = next(iter(self._handshakes.items()))
            if now - unused.used_at < self._forgotten_after and len(self._handshakes) <= self._max_addresses:
                break
            del self._handshakes[oldest]
        return found.allowance.take(now)

    @property
    def _forgotten_after(self) -> float:
        """After how many seconds without a handshake an allowance is full again in any case."""
        return max(BURST_SECONDS, 1 / self._handshakes_per_second)
