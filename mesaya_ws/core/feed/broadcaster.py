"""From messages to frames: each is encoded once, kept in the window, and gathered for those who listen."""

from collections.abc import Collection, Iterator, Sequence

import orjson

from mesaya_ws.core.access.channels import kind_of
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.feed.pieces import data_in_pieces
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.recovery.history import History
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.floor_plan import state_of
from mesaya_ws.core.wire.frames import text_frame, text_frame_in_steps

MESSAGES_AT_ONCE = 50
"""Messages of one record that are published in one go, at some 15 µs each."""

COPIED_AT_ONCE = 256 * 1024
"""Bytes of messages of one record that are published in one go: to copy them takes up to 0.5 µs a KiB."""


class Broadcaster:
    """Publishes with the position where `cursor` stands, into `window`, and to the subscribers in `hub`.

    What has a history goes there, too, if there is one.
    """

    def __init__(self, hub: Hub, window: Window, cursor: Cursor, history: History | None = None) -> None:
        self._hub = hub
        self._window = window
        self._cursor = cursor
        self._history = history

    def publish(
        self,
        record: Record,
        partition: Partition,
        messages: Collection[Message],
        made_at: int,
        *,
        are_news: bool,
        is_past: bool = False,
    ) -> int:
        """Publish what a record of `partition`, which `cursor` has just passed, has become; return how many bytes.

        It was `made_at` some time by the clock of the window. Unless these `are_news`, they only go into the window:
        they are history, which nobody is waiting for. What `is_past` the window goes into the history alone; all of it
        must have one.
        """
        window, history, timestamp, offset = self._window, self._history, record.timestamp, record.offset
        position = self._cursor.position
        data: object = None
        size = 0
        for message in messages:
            # The same data on several channels is encoded once.
            if message.data is not data:
                data, encoded = message.data, orjson.Fragment(orjson.dumps(message.data))
            channel = message.channel
            kind = kind_of(channel)
            frame = text_frame(
                orjson.dumps(
                    {
                        "type": message.type,
                        "channel": channel,
                        "position": position(channel, kind),
                        "timestamp": message.timestamp,
                        "data": encoded,
                    }
                )
            )
            size += len(frame)
            if history is not None and kind.has_history:
                history.add(channel, partition, offset, frame)
                if is_past:
                    continue
            window.add(channel, partition, offset, made_at, frame, state_of(message), timestamp)
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
        is_past: bool = False,
    ) -> Iterator[None]:
        """Do the same as `publish`, yielding whenever others should run: where messages are many, or large.

        A large one is encoded in pieces, and put together in pieces.
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
            kind = kind_of(channel)
            head = orjson.dumps(
                {
                    "type": message.type,
                    "channel": channel,
                    "position": position(channel, kind),
                    "timestamp": message.timestamp,
                }
            )
            frame = yield from text_frame_in_steps([head[:-1], b',"data":', *encoded, b"}"], COPIED_AT_ONCE)
            if self._history is not None and kind.has_history:
                self._history.add(channel, partition, record.offset, frame)
            if not is_past:
                self._window.add(channel, partition, record.offset, made_at, frame, state_of(message), record.timestamp)
                if are_news:
                    self._hub.publish(channel, frame, record.timestamp, self._window.serial)
            work += 1
            size += len(frame)
            if work >= MESSAGES_AT_ONCE or size >= COPIED_AT_ONCE:
                work = size = 0
                yield
