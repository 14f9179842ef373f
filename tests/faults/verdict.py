"""Whether a subscriber received what the log holds: every message once, in the log's order.

Nothing here knows the gateway. What must have been received comes from the log itself, read back after the fact, and
from `tests.oracle`, which reads the rules. What may differ is only this:

- On the embedded log, which has one order over all topics, the order on a channel must be that order. On Kafka, every
  partition is in its order; how those of several partitions that feed one channel lie between one another is decided by
  their timestamps where all of them are at hand, and by their arrival where they are not ("a partition that is at its
  end is not waited for"). So that order binds only as far as the messages themselves show it: each message must be the
  one that the log in the order of timestamps gives.
- Messages may be missing only in front of a snapshot, which must hold the state that they have led to. A subscriber
  that began with a snapshot receives nothing from before it.
"""

import json
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from tests import oracle

from .log import Held
from .subscribers import Message, identity

SHOWN = 3
"""How many examples of what is wrong are shown."""


class Verdict(NamedTuple):
    """What is to be said of one subscriber, or of several together; `wrong` says in words what is not as it must be."""

    events: int = 0
    lost: int = 0
    repeated: int = 0
    disordered: int = 0
    snapshots: int = 0
    wrong: tuple[str, ...] = ()

    def __add__(self, other: tuple[Any, ...]) -> "Verdict":
        return Verdict(*(mine + its for mine, its in zip(self, other, strict=True)))


class Due(NamedTuple):
    """A message that somebody must receive, and the record that it comes from."""

    message: Message
    record: Held


class Truth:
    """What `records`, all that the log has held, in its order, mean for a subscriber.

    The `forgotten` ones have been removed before the gateways began that send the state.
    """

    def __init__(self, records: Sequence[Held], forgotten: Iterable[Held] = ()) -> None:
        self.records = records
        self._forgotten = frozenset(forgotten)
        self.due: dict[str, list[Due]] = defaultdict(list)
        for record, messages in zip(records, oracle.expected(records), strict=True):
            for message in messages:
                self.due[message["channel"]].append(Due(message, record))

    def check(self, channel: str, received: Sequence[Message], begin: Collection[object] | None) -> Verdict:
        """Compare what was `received` on a channel with what was due.

        The records of `begin` lay before the beginning; None: it began with a snapshot.
        """
        due = self.due[channel]
        places = _places(received, due)
        wrong: list[str] = []

        delivered = [place for place in places if isinstance(place, int)]
        repeated = [message for message, place in zip(received, places, strict=True) if place == "repeated"]
        invented = [message for message, place in zip(received, places, strict=True) if place == "invented"]
        disordered = _disordered(delivered, due)
        lost = self._lost(channel, places, begin)
        for what, found in (
            ("lost", [due[place].message for place in lost]),
            ("repeated", repeated),
            ("never in the log", invented),
            ("out of order", [due[place].message for place in disordered]),
        ):
            wrong += [f"{channel}: {what}: {_shown(message)}" for message in found[:SHOWN]]

        snapshots = [at for at, message in enumerate(received) if message["type"] == "snapshot"]
        for at in snapshots:
            was_replaced = (
                at > 0 and received[at - 1]["type"] == "gap" and received[at - 1]["data"] == "topic_recreated"
            )
            after = places[at + 1 :]
            if _is_superseded(after, due):
                wrong += self._no_state(channel, received[at], places[:at], after)
            else:
                wrong += self._wrong_state(channel, received[at], after, was_replaced=was_replaced)
        return Verdict(len(delivered), len(lost), len(repeated), len(disordered), len(snapshots), tuple(wrong))

    def lost(self, channel: str, received: Sequence[Message], begin: Collection[object] | None) -> list[Message]:
        """Return what must have been received on a channel, and was not (see `check`)."""
        due = self.due[channel]
        return [due[place].message for place in self._lost(channel, _places(received, due), begin)]

    def _lost(self, channel: str, places: Sequence[object], begin: Collection[object] | None) -> list[int]:
        """Return the places of what was not delivered, and is not made up for by a snapshot."""
        due = self.due[channel]
        delivered = set(places)
        lost = []
        for source in {one.record.source for one in due}:
            own = [place for place, one in enumerate(due) if one.record.source == source]
            # Before the first thing said, and before every snapshot, some may be missing.
            reached = -1
            excused: set[int] = set()
            begun = begin is not None
            after_snapshot = not begun
            for place in places:
                if place == "snapshot":
                    after_snapshot = begun = True
                elif isinstance(place, int) and due[place].record.source == source:
                    if after_snapshot:
                        excused.update(range(reached + 1, place))
                    after_snapshot, reached = False, max(reached, place)
            if after_snapshot and begun:
                excused.update(range(reached + 1, len(due)))
            lost += [
                place
                for place in own
                if place not in delivered and place not in excused and (begin is None or due[place].record not in begin)
            ]
        return sorted(lost)

    def _no_state(
        self, channel: str, snapshot: Message, before: Sequence[object], after: Sequence[object]
    ) -> list[str]:
        """See that a snapshot was the state somewhere: of what came after it, the next one may have made up for more.

        Only where all records have one order: otherwise, there are too many places.
        """
        due = self.due[channel]
        if len({record.source for record in self.records}) > 1:
            return []
        first = max((self.records.index(due[place].record) for place in before if isinstance(place, int)), default=0)
        last = min((self.records.index(due[place].record) for place in after if isinstance(place, int)), default=None)
        for end in range(first + 1, (len(self.records) if last is None else last) + 1):
            state = oracle.state([each for each in self.records[:end] if each not in self._forgotten], channel)
            if state is None or _shows(snapshot, state):
                return []
        return [f"{channel}: a snapshot of no state that there was: {_shown(snapshot)}"]

    def _wrong_state(self, channel: str, snapshot: Message, then: Sequence[object], *, was_replaced: bool) -> list[str]:
        """Compare a snapshot with the state that all records have led to which are not delivered after it."""
        due = self.due[channel]
        first: dict[object, Held] = {}
        for place in then:
            if isinstance(place, int):
                first.setdefault(due[place].record.source, due[place].record)
        before, ended = [], set()
        for record in self.records:
            if record == first.get(record.source):
                ended.add(record.source)
            if record.source not in ended and record not in self._forgotten:
                before.append(record)
        # Where a topic was created again, what it had said before is forgotten, though nothing new may have come yet.
        lives: dict[object, int] = {}
        for record in self.records:
            lives[_scope(record)] = max(record.life, lives.get(_scope(record), 0))
        anew = [record for record in before if record.life == lives[_scope(record)]]
        for known in [anew] if was_replaced else [before, anew] if len(anew) < len(before) else [before]:
            state = oracle.state(known, channel)
            if state is None or _shows(snapshot, state):
                return []
        return [f"{channel}: a snapshot of another state: {_shown(snapshot)}; it is {json.dumps(state)[:600]}"]


def _shows(snapshot: Message, state: dict[str, Any]) -> bool:
    """Return whether a snapshot shows a state: all of it, unless it says itself that it is not complete.

    "`complete: false` means (…) of notifications, that `more` is false and yet there may have been older ones."
    """
    sent = oracle.comparable(snapshot["data"])
    if "events" in sent and not snapshot.get("complete", True):
        latest = state["events"][len(state["events"]) - len(sent["events"]) :]
        state = state | {"events": latest, "more": state["more"] and sent["more"]}
    return state == sent


def _scope(record: Held) -> str | None:
    """Return the topic that is created again when it is; None if all of a log are at once."""
    return None if record.source is None else record.topic


def _places(received: Sequence[Message], due: Sequence[Due]) -> list[int | str]:
    """Return for each message which of those that are due it is: its place, or what else it is."""
    # The same message may be due more than once: a producer that received no acknowledgement writes it again.
    open_: dict[str, deque[int]] = defaultdict(deque)
    for place, one in enumerate(due):
        open_[identity(one.message)].append(place)
    places: list[int | str] = []
    for message in received:
        if message["type"] in ("gap", "snapshot"):
            places.append(message["type"])
            continue
        waiting = open_.get(identity(message))
        places.append("invented" if waiting is None else waiting.popleft() if waiting else "repeated")
    return places


def _is_superseded(after: Sequence[object], due: Sequence[Due]) -> bool:
    """Return whether another snapshot came before it is known, of all sources, what the first one was followed by."""
    if "snapshot" not in after:
        return False
    at = after.index("snapshot")
    known, later = (
        {due[place].record.source for place in part if isinstance(place, int)} for part in (after[:at], after[at:])
    )
    return bool(later - known) or not known


def _disordered(delivered: Sequence[int], due: Sequence[Due]) -> list[int]:
    reached: dict[object, int] = {}
    found = []
    for place in delivered:
        source = due[place].record.source
        if place < reached.get(source, -1):
            found.append(place)
        reached[source] = max(place, reached.get(source, -1))
    return found


def _shown(message: Message) -> str:
    return json.dumps(message, ensure_ascii=False)[:600]
