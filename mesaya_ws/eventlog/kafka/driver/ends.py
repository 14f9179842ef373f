"""Up to where the partitions of a consumer can be read, from fetches and from metadata.

Metadata has the ends of all partitions, now and then; fetches have those of the partitions that they read. A refresh
takes a while, and a fetch that is answered meanwhile may know a later end. So:

    `note`             a fetch has been answered                     held back until `update`
    `update`           the loop has delivered what came before       known, and recent
    `begin_refresh`    a refresh begins                              nothing is recent
    `end_refresh`      the refresh has been answered                 the later of its ends and the recent ones

Ends of partitions that the refresh has missed stay as they were; those of re-created topics are dropped.
"""

from collections.abc import Mapping, Set

from kafka import TopicPartition


class Ends:
    """The ends of partitions, as offsets."""

    def __init__(self) -> None:
        self._noted: dict[TopicPartition, int] = {}
        self._known: dict[TopicPartition, int] = {}
        self._recent: dict[TopicPartition, int] = {}

    def get(self, partition: TopicPartition) -> int | None:
        """Return the end of a partition; None when it is not known."""
        return self._known.get(partition)

    def note(self, partition: TopicPartition, end: int) -> None:
        """Note an end from the answer to a fetch."""
        self._noted[partition] = end

    def update(self) -> Set[TopicPartition]:
        """Make what was noted known, and return its partitions."""
        noted, self._noted = self._noted, {}
        self._known |= noted
        self._recent |= noted
        return noted.keys()

    def begin_refresh(self) -> None:
        """Note that a refresh begins: it may miss what is noted from now on."""
        self._recent = {}

    def end_refresh(
        self, ends: Mapping[TopicPartition, int], replaced: Set[TopicPartition], assigned: Set[TopicPartition]
    ) -> None:
        """Take over the `ends` of a refresh, of which the partitions `replaced` are of re-created topics."""
        self._noted = {partition: end for partition, end in self._noted.items() if partition not in replaced}
        recent = {partition: end for partition, end in self._recent.items() if partition not in replaced}
        unseen = assigned - ends.keys() - replaced
        before = {partition: self._known[partition] for partition in unseen & self._known.keys()}
        self._known = before | {partition: max(end, recent.get(partition, 0)) for partition, end in ends.items()}
