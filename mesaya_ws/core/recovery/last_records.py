"""The last records that later ones may depend on: with them, a process that starts checks places across its own start.

Which record made a parent known, and which was the last one about an entity, only memory says (see `dependencies`). A
client that comes from another instance may be before the place of the store in one partition, and after it in another
one. By no more than the instances are apart, which is moments: so the store has the records of these moments.
"""

from collections.abc import Iterable
from itertools import islice

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets

REMEMBERED = 500
"""Records that are kept: those of seconds, where there are a hundred a second. The store has 50 kB of them."""

FORGOTTEN_AT = 3
"""How many times `remembered` there may be before the oldest are forgotten, all at once."""

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
        self._records: list[LastRecord] = []
        self._is_loaded = False

    def add(self, record: LastRecord) -> None:
        """Keep the next one."""
        self._records.append(record)
        self.changed = True
        if len(self._records) > FORGOTTEN_AT * self._remembered:
            self._forget()

    def _forget(self) -> None:
        """Forget those that are too many, together: it takes a third of what one by one would."""
        surplus = max(0, len(self._records) - self._remembered)
        # Of each partition, the last one that is forgotten comes last.
        last = {partition: offset for _, _, partition, offset in islice(self._records, surplus)}
        for partition, offset in last.items():
            self.floors[partition] = max(offset + 1, self.floors.get(partition, 0))
        del self._records[:surplus]

    def load(self, floors: Offsets, records: Iterable[LastRecord]) -> None:
        """Take in those of another process."""
        self.floors, self._records, self._is_loaded = dict(floors), list(records), True

    def begin(self, places: Offsets) -> Offsets:
        """Begin at these places; return from where on the records before them are known that matter to later ones."""
        if not self._is_loaded:
            self.floors = dict(places)
        return dict(self.floors)

    def take(self) -> list[LastRecord]:
        """Return all of them, to be committed together with the `floors` as they are then."""
        self._forget()
        self.changed = False
        return list(self._records)

    def restart(self) -> None:
        """Begin anew, where nothing is promised of what came before."""
        self._records.clear()
        self.floors, self.changed = {}, False
