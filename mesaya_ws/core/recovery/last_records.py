"""The last records that later ones may depend on: with them, a process that starts checks places across its own start.

Which record made a parent known, and which was the last one about an entity, only memory says (see `dependencies`). A
client that comes from another instance may be before the place of the store in one partition, and after it in another
one. By no more than the instances are apart, which is moments: so the store has the records of these moments.
"""

from collections import deque
from collections.abc import Iterable

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets

REMEMBERED = 500
"""Records that are kept: those of seconds, where there are a hundred a second. The store has 50 kB of them."""

KNOWN, LAST = "known", "last"
"""What a record is to a name: what made a parent known, or the last one about an entity."""

LastRecord = tuple[str, str, Partition, int]
"""What it is, to which name, and where it is."""


class LastRecords:
    """The newest records, `remembered` of them, by what each is to a name; of those before the `floors`, not all.

    They have `changed` if they are others than those that were taken last.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.changed = False
        self.floors: dict[Partition, int] = {}
        self._remembered = remembered
        self._records: deque[LastRecord] = deque()
        self._is_loaded = False

    def add(self, record: LastRecord) -> None:
        """Keep the next one."""
        records = self._records
        records.append(record)
        self.changed = True
        if len(records) > self._remembered:
            _, _, partition, offset = records.popleft()
            self.floors[partition] = max(offset + 1, self.floors.get(partition, 0))

    def load(self, floors: Offsets, records: Iterable[LastRecord]) -> None:
        """Take in those of another process."""
        self.floors, self._records, self._is_loaded = dict(floors), deque(records), True

    def begin(self, places: Offsets) -> Offsets:
        """Begin at these places; return from where on the records before them are known that matter to later ones."""
        if not self._is_loaded:
            self.floors = dict(places)
        return dict(self.floors)

    def take(self) -> list[LastRecord]:
        """Return all of them, to be committed together with the `floors`."""
        self.changed = False
        return list(self._records)

    def restart(self) -> None:
        """Begin anew, where nothing is promised of what came before."""
        self._records.clear()
        self.floors, self.changed = {}, False
