"""What is known as of the record that was processed last: all entities, and what has changed of them."""

from collections.abc import Iterable, Iterator

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.rights import Facts
from mesaya_ws.core.feed.checkpoint import CorruptCheckpointError
from mesaya_ws.core.feed.explanation import Explanation, explain
from mesaya_ws.core.interactions.acknowledgements import News
from mesaya_ws.core.interactions.chat_records import ConversationKey
from mesaya_ws.core.interactions.conversation import Conversation
from mesaya_ws.core.interactions.hold import Hold, Outcome
from mesaya_ws.core.interactions.hold_records import Slot
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.cold import CACHE_BYTES, OnDisk
from mesaya_ws.core.platform.projection_rows import load_row, rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.rows import Row, integer_in
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.state.stored import Stored
from mesaya_ws.core.state.tracking import Follower, TrackedKeys, Tracking
from mesaya_ws.core.views.chats import history_of
from mesaya_ws.core.views.contents import ChannelState

EXPIRED_PARENTS = "expired_parents"
"""The table of the parents that were waited for in vain (see `Merge`), by `<entity>:<id>`."""


class Known:
    """What all records up to the `cursor` mean: the `projections`, to which the router applies each record.

    With `keeps_on_disk`, there is a state store: of what grows with time, `cache_bytes` of each kind are in memory, and
    all else is read from there. Settled reservations and payments are kept for so many days (see `settled`).
    """

    def __init__(
        self,
        cursor: Cursor,
        *,
        keeps_on_disk: bool = False,
        keep_settled_days: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._cursor = cursor
        self._keep_settled_days = keep_settled_days
        self._tracking = Tracking()
        self.stored = Stored()
        """What the state store has, for rules that look something up; whoever commits sets its view."""
        self._on_disk = OnDisk(self.stored, cache_bytes) if keeps_on_disk else None
        self.projections = self._new_projections()
        self.expired_parents = self._new_expired_parents()

    def _new_projections(self) -> Projections:
        projections = Projections(
            keep_settled_days=self._keep_settled_days, tracking=self._tracking, on_disk=self._on_disk
        )
        projections.position_at = self._cursor.position_at
        return projections

    def _new_expired_parents(self) -> TrackedKeys:
        return TrackedKeys(self._tracking.table(EXPIRED_PARENTS))

    def rows(self) -> Iterator[Row]:
        """Yield all that is known; nothing may be processed meanwhile."""
        yield from rows_of(self.projections)
        for parent, place in self.expired_parents.items():
            yield EXPIRED_PARENTS, parent, place

    def stored_rows(self) -> Iterator[Row]:
        """Yield all that belongs in a state store: what checkpoints have, and the conversations."""
        yield from self.rows()
        yield from self.projections.chats.rows()

    def load(self, pieces: Iterable[list[Row]]) -> Iterator[None]:
        """Know what rows say, and nothing else; yields after every piece.

        Raises `CorruptCheckpointError`, and then nothing has changed.
        """
        projections, expired_parents = self._new_projections(), self._new_expired_parents()
        with self._tracking.paused():
            for piece in pieces:
                for table, id, value in piece:
                    try:
                        if table == EXPIRED_PARENTS:
                            expired_parents.load(id, None if value is None else integer_in(value))
                        else:
                            load_row(projections, table, id, value)
                    except ValueError as error:
                        raise CorruptCheckpointError(str(error)) from error
                yield
        self.projections, self.expired_parents = projections, expired_parents

    def follow_changes(self) -> Follower:
        """Return who can take the rows that change from now on, for checkpoints; see `Projections.follow_changes`.

        To them belong those of the table `EXPIRED_PARENTS`. What is restored at the start is no change. What is taken
        is as of the record that was processed last, unless the feed `is_mid_record`.
        """
        return self.projections.follow_changes()

    def follow_stored_rows(self) -> Follower:
        """Return the same for what belongs in a state store."""
        return self._tracking.follow()

    @property
    def facts(self) -> Facts:
        """What rights depend on, as of the record that was processed last."""
        return self.projections

    def acknowledgement(self, reservation: str) -> News | None:
        """Return what is known of a reservation that is to be acknowledged, or was."""
        return self.projections.acks.get(reservation)

    def acknowledgement_ids(self) -> Iterator[str]:
        """Iterate over the reservations of which `acknowledgement` knows something now; meanwhile, it may change."""
        return self.projections.acks.ids()

    def hold_outcome(self, id: str) -> Outcome | None:
        """Return what the first claim with that id has come to, if it is remembered."""
        return self.projections.holds.outcome(id)

    def live_holds(self) -> Iterator[Hold]:
        """Iterate over all live holds, the oldest first; some may be due to expire."""
        return self.projections.holds.all_live()

    def live_holds_in(self, restaurant: str) -> list[Hold]:
        """Return the live holds of a restaurant, the oldest first."""
        return self.projections.holds.live(restaurant)

    def live_holds_of(self, user: str) -> list[Hold]:
        """Return the live holds of a user in all restaurants, the oldest first."""
        return self.projections.holds.of_user(user)

    def live_holds_on(self, tables: tuple[str, ...], slot: Slot | None) -> list[Hold]:
        """Return the live holds that overlap these tables in a slot (None: as such), the oldest first."""
        return self.projections.holds.in_the_way(tables, slot)

    def restaurant_of(self, entity: str, id: str) -> str | None:
        """Return the restaurant of a reservation or a table; None if nothing is known of it, or it was deleted."""
        return self.projections.relations.place(entity, self.projections.entities[entity].alive.get(id))

    def conversation(self, key: ConversationKey) -> Conversation | None:
        """Return what is known of a conversation."""
        return self.projections.chats.get(key)

    def chat_history(self, conversation: Conversation, before: int | None, count: int) -> ChannelState:
        """Return messages of a conversation before an offset (None: the latest), and from where to go on."""
        return history_of(conversation, before, count, self.projections)

    def explain(
        self, record: Record, *, auth: bool, user: Identity | None = None, is_alone: bool = False
    ) -> Explanation:
        """Return what a record would become, were it the next one; see `explanation.explain`.

        Not of a feed that `is_mid_record`.
        """
        return explain(record, self.projections, auth=auth, user=user, is_alone=is_alone)

    def is_missing(self, parent: str) -> bool:
        """Return whether nothing is known of a parent, `<entity>:<id>` (see `request_parent`)."""
        entity, _, id = parent.partition(":")
        return not self.projections.relations.is_parent(entity, id)
