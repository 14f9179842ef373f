"""Subscribers that read events by HTTP (`GET /events`), as the documentation says that a client does."""

import http.client
import itertools
import random
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import trio

from tests.e2e.event_reader import EventReader, path_of

from .subscribers import SILENCE, Message, ThreadSubscriber

QUIET = 20.0
"""Seconds without a line after which nobody is there any more: a comment comes every 15."""


class EventSubscriber(ThreadSubscriber):
    """Reads one stream of all channels in a thread, and comes back with the id that came last."""

    kind = "GET /events"

    def __init__(self, urls: Sequence[str], channels: Iterable[str], *, snapshot: bool = False) -> None:
        super().__init__(urls, channels, snapshot=snapshot)
        self.id: str | None = None
        self._positions: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._streams = itertools.count(1)
        self._stream = 0

    @property
    def places(self) -> dict[str, str]:
        return self._positions

    def drop(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def drain(self) -> None:
        # All that a stream has to say of what was before it comes at its beginning.
        for _ in range(2):
            before = self._stream
            self.drop()
            while self._stream == before:  # noqa: ASYNC110 - a thread reads it
                await trio.sleep(0.02)
        await trio.sleep(0.5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._read(next(self._urls))
            self._socket = None
            self._stopped.wait(random.uniform(0, 0.3))

    def _read(self, url: str) -> None:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SILENCE)
        headers = {} if self.id is None else {"Last-Event-ID": self.id}
        query = {"snapshot": "1"} if self.snapshot else {}
        try:
            connection.connect()
            self._socket = connection.sock
            connection.request("GET", path_of(self.channels, **query), headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                return
            self.connections += 1
            self._socket.settimeout(QUIET)
            reader = EventReader(answer, self.id)
            try:
                for message in reader:
                    self._take(message)
                    self.id = reader.id
                    while self.paused:
                        time.sleep(0.05)
            finally:
                self.id = reader.id  # also of what shows nothing
        finally:
            connection.close()

    def _take(self, message: Message) -> None:
        channel = message.get("channel")
        match message["type"]:
            case "subscribed":
                if message.get("recovered") is False:
                    self.receive({"channel": channel, "type": "gap", "data": message["reason"]})
                self._positions[str(channel)] = message["position"]
                if channel == self.channels[-1]:
                    self._stream = next(self._streams)
            case "close":
                self.closes.append(message["code"])
            case "error" | "unsubscribed":
                raise AssertionError(message)
            case "pong":
                self._positions |= message["positions"]
            case "welcome" | "pending" | "going_away":
                pass
            case _:
                if message.get("recovered") is False:
                    self.receive({"channel": channel, "type": "gap", "data": message["reason"]})
                self.receive(message)
                self._positions[str(channel)] = message["position"]
