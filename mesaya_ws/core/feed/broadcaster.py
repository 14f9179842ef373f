"""From messages to frames: each is encoded once, kept in the window, and gathered for those who listen."""

from collections.abc import Collection, Iterator, Sequence

import orjson

from mesaya_ws.core.access.channels import KINDS
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.feed.pieces import data_in_pieces
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.floor_plan import state_of
from mesaya_ws.core.wire.frames import text_frame, text_frame_of

MESSAGES_AT_ONCE = 50
"""Messages of one record that are published in one go, at some 15 µs each."""

COPIED_AT_ONCE = 256 * 1024
"""Bytes of messages of one record that are published in one go: to copy them takes up to 0.5 µs a KiB."""


class Broadcaster:
    """Publishes with the position where `cursor` stands, into `window`, and to the subscribers in `hub`."""

    def __init__(self, hub: Hub, window: Window, cursor: Cursor) -> None:
        self._hub = hub
        self._window = window
        self._cursor = cursor

    def publish(
        self, record: Record, partition: Partition, messages: Collection[Message], made_at: int, *, are_news: bool
    ) -> int:
        """Publish what a record of `partition`, which `cursor` has just passed, has become; return how many bytes.

        It was `made_at` some time by the clock of the window. Unless these `are_news`, they only go into the window:
        they are history, which nobody is waiting for.
        """
        window, timestamp, offset = self._window, record.timestamp, record.offset
        position = self._cursor.position
        data: object = None
        size = 0
        for message in messages:
            # The same data on several channels is encoded once.
            if message.data is not data:
                data, encoded = message.data, orjson.Fragment(orjson.dumps(message.data))
            channel = message.channel
            frame = text_frame(
                orjson.dumps(
                    {
                        "type": message.type,
                        "channel": channel,
                        "position": position(channel, KINDS[channel.rpartition(":")[2]]),
                        "timestamp": message.timestamp,
                        "data": encoded,
                    }
                )
            )
            window.add(channel, partition, offset, made_at, frame, state_of(message), timestamp)
            size += len(frame)
            if are_news:
                self._hub.publish(channel, frame, timestamp, window.serial)
        return size

    def publish_in_steps(
        self,
        record: Record,
        partition: Partition,
        messages: Sequence[Message],
        made_at: int,
        *,
        are_news: bool,
    ) -> Iterator[None]:
        """Do the same as `publish`, yielding whenever others should run: where messages are many, or large.

        A large one is encoded in pieces; to put these together is a single step, of a millisecond for some MiB.
        """
        position = self._cursor.position
        data: object = None
        encoded: list[bytes] = []
        work = size = 0
        for message in messages:
            if message.data is not data:
                data, encoded = message.data, []
                for piece in data_in_pieces(message.data):
                    if encoded:
                        work = size = 0
                        yield
                    encoded.append(piece)
                    size += len(piece)
            channel = message.channel
            head = orjson.dumps(
                {
                    "type": message.type,
                    "channel": channel,
                    "position": position(channel, KINDS[channel.rpartition(":")[2]]),
                    "timestamp": message.timestamp,
                }
            )
            frame = text_frame_of([head[:-1], b',"data":', *encoded, b"}"])
            self._window.add(channel, partition, record.offset, made_at, frame, state_of(message), record.timestamp)
            if are_news:
                self._hub.publish(channel, frame, record.timestamp, self._window.serial)
            work += 1
            size += len(frame)
            if work >= MESSAGES_AT_ONCE or size >= COPIED_AT_ONCE:
                work = size = 0
                yield
