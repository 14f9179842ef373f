"""Guests and a restaurant who write to one another, and whether each was sent just what the topic holds.

What must have been sent comes from the records of `mesa-ya.chat.events` and from the page of the protocol alone: the
first record with a message's id is the message, any other one is nothing, and the order is that of the partition.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import trio
from attrs import Factory, define

from mesaya_ws.client.session import Session, connect

from .log import Held
from .verdict import Verdict

REST = 1.2
"""Seconds between two messages of one sender: more would not be allowed for long."""


@define
class Talker:
    """One side of conversations, signed in as `user`; `url` leads to any gateway, another one each time.

    `pause` is how long it takes to read an event.
    """

    url: str
    user: str
    channels: Sequence[str]
    pause: float = 0.0
    received: dict[str, list[tuple[str, str, str]]] = Factory(lambda: defaultdict(list))
    """By channel, the messages as they came: id, text, position."""
    acknowledged: dict[str, tuple[str, str]] = Factory(dict)
    """By id, the channel and position of each message of its own that the gateway has answered."""
    times: list[float] = Factory(list)
    """When each of its messages was acknowledged."""
    gaps: list[str] = Factory(list)
    writing: trio.Event = Factory(trio.Event)
    """Set when the next message is about to be sent."""
    _session: Session | None = None

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Receive for ever; started when subscribed."""
        async with connect(self.url, user=self.user) as self._session:
            for channel in self.channels:
                await self._session.subscribe(channel, snapshot=True)
            begun: set[str] = set()
            async for event in self._session:
                await trio.sleep(self.pause)
                if event.type == "chat.message":
                    said = event.data["messageId"], event.data["text"], str(event.position)
                    self.received[event.channel].append(said)
                elif event.type == "gap":
                    self.gaps.append(event.channel)
                elif event.type == "snapshot" and event.channel not in begun:
                    begun.add(event.channel)
                    if len(begun) == len(self.channels):
                        task_status.started()

    async def talk(self, restaurant: str, guests: Iterable[str]) -> None:
        """Write a message in the conversation of each of the `guests`, until it is answered, over all connections."""
        assert self._session is not None
        for guest in guests:
            chat, id = self._session.chat(restaurant, guest), f"{self.user}-{len(self.acknowledged)}"
            self.writing.set()
            self.writing = trio.Event()
            position = await chat.publish(f"This is {id}.", message_id=id)
            self.acknowledged[id] = chat.channel, position
            self.times.append(trio.current_time())
            await trio.sleep(REST)


def messages(records: Iterable[Held]) -> dict[str, list[tuple[str, str]]]:
    """Return what the records of the topic say, by channel: ids and texts, in the order of their offsets."""
    said: dict[str, list[tuple[str, str]]] = defaultdict(list)
    known: set[tuple[str, str]] = set()
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        envelope = json.loads(record.value or b"{}")
        if envelope.get("event_type") != "message":
            continue
        data, id = envelope["data"], envelope["entity_id"]
        channel = f"restaurant:{data['restaurantId']}:chat:{data['userId']}"
        if (channel, id) not in known:
            known.add((channel, id))
            said[channel].append((id, data["text"]))
    return said


def longest_wait(talkers: Iterable[Talker]) -> float:
    """Return the longest time that went by between two messages of one that were acknowledged, in seconds."""
    return max(later - earlier for one in talkers for earlier, later in pairwise(one.times))


def has_received_all(talker: Talker, said: dict[str, list[tuple[str, str]]]) -> bool:
    """Return whether a talker has received as many messages as there are."""
    return all(len(talker.received[channel]) >= len(said[channel]) for channel in talker.channels)


def check(talker: Talker, said: dict[str, list[tuple[str, str]]]) -> Verdict:
    """Compare what a talker has received, and what it was answered, with what was said."""
    verdict = Verdict()
    for channel in talker.channels:
        came = [(id, text) for id, text, _ in talker.received[channel]]
        lost = [each for each in said[channel] if each not in came]
        repeated = len(came) - len(set(came))
        wrong = [] if came == said[channel] else [f"{talker.user} on {channel}: {came}, and not {said[channel]}"]
        in_order = [each for each in said[channel] if each in came]
        disordered = sum(one != other for one, other in zip(dict.fromkeys(came), in_order, strict=False))
        verdict += Verdict(len(came), len(lost), repeated, disordered, 0, tuple(wrong))
    for id, (channel, position) in talker.acknowledged.items():
        places = [at for one, _, at in talker.received[channel] if one == id]
        if places != [position]:
            verdict += Verdict(wrong=(f"{id} was acknowledged at {position}, and came at {places}",))
    return verdict
