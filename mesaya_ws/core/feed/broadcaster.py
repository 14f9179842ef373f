"""From messages to frames: each is encoded once, kept in the window, and gathered for those who listen."""

from collections.abc import Collection

import orjson

from mesaya_ws.core.access.channels import KINDS
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.outcome import Message
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.views.floor_plan import state_of
from mesaya_ws.core.wire.frames import text_frame


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
