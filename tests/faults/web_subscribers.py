"""Subscribers with the JavaScript client, in Node and in pages of a real browser."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import trio

import mesaya_ws
from tests.e2e.node import FOLDER, install, required

from .subscribers import Message, Subscriber

MODULE = f"file://{mesaya_ws.__path__[0]}/web/client/mesaya-ws.js"

LONGEST_LINE = 64 * 1024 * 1024


class Host:
    """A process with subscribers: Node, and with `browser` a Chromium, in which each has a page of its own."""

    def __init__(self, *, browser: bool) -> None:
        self.kind = "mesaya-ws.js in Chromium" if browser else "mesaya-ws.js in Node"
        self._command = [install(), "clients.mjs", MODULE, *([required("chromium")] if browser else [])]
        self._subscribers: dict[int, WebSubscriber] = {}
        self._numbers = count(1)
        self._saying = trio.Lock()
        self._process: trio.Process
        self._groups: list[int] = []
        """The process groups: that of the process, and that of its browser."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until cancelled."""
        self._process = await trio.lowlevel.open_process(
            self._command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._groups.append(self._process.pid)
        task_status.started()
        try:
            await self._receive()
        finally:
            self.send_signal(signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await self._process.wait()

    async def _receive(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            assert len(rest) < LONGEST_LINE
            for line in lines:
                said = json.loads(line)
                if "browser" in said:
                    self._groups.append(said["browser"])
                else:
                    self._subscribers[said.pop("client")].take(said)
        raise AssertionError("The process of the JavaScript clients has ended.")

    async def say(self, **command: object) -> None:
        """Write a command."""
        assert self._process.stdin is not None
        async with self._saying:
            await self._process.stdin.send_all(json.dumps(command).encode() + b"\n")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, and to its browser."""
        for group in self._groups:
            with suppress(ProcessLookupError):  # or the failure by which it has ended would not be seen
                os.killpg(group, number)

    def enter(self, subscriber: "WebSubscriber") -> int:
        """Note a subscriber, and return its number."""
        number = next(self._numbers)
        self._subscribers[number] = subscriber
        return number


class WebSubscriber(Subscriber):
    """Uses `mesaya-ws.js`; with `token`, it has a token source (see `clients.mjs`).

    With `fallback`, it may read events by HTTP.
    """

    def __init__(
        self,
        host: Host,
        urls: Sequence[str],
        channels: Iterable[str],
        *,
        snapshot: bool = False,
        token: dict[str, Any] | None = None,
        fallback: bool = False,
    ) -> None:
        super().__init__(urls, channels, snapshot=snapshot)
        self.kind = host.kind
        self.statuses: list[str] = []
        self.signed_out: list[str] = []
        self.asked: list[str] = []
        self.errors: list[str] = []
        self._host = host
        self._token = token
        self._fallback = fallback
        self._places: dict[str, str] = {}
        self._drained = 0
        self._number = host.enter(self)

    async def run(self) -> None:
        await self._host.say(
            client=self._number,
            open={
                "url": next(self._urls),
                "channels": self.channels,
                "snapshot": self.snapshot,
                "token": self._token,
                "options": {
                    "pauseWhenHiddenFor": 0,  # of several pages, all but one may count as hidden
                    "fallback": "sse" if self._fallback else False,
                },
            },
        )
        await trio.sleep_forever()

    @property
    def places(self) -> dict[str, str]:
        return self._places

    def last(self) -> object:
        return {name: getattr(self, name)[-10:] for name in ("statuses", "closes", "signed_out", "asked", "errors")}

    def drop(self) -> None:
        raise NotImplementedError("A page does not cut its connection; a proxy does.")

    async def drain(self) -> None:
        wanted = self._drained + 1
        await self._host.say(client=self._number, drain=wanted)
        while self._drained < wanted:  # noqa: ASYNC110 - another task receives it
            await trio.sleep(0.02)

    async def sign(self, *, is_signing: bool) -> None:
        """Let the token source fail, or work again."""
        await self._host.say(client=self._number, signing=is_signing)

    async def disconnect(self, *, is_offline: bool) -> None:
        """Take the page's network away, or bring it back."""
        await self._host.say(client=self._number, offline=is_offline)

    def take(self, said: Message) -> None:
        """Take what the process reports of this subscriber."""
        match said:
            case {"message": {"type": "gap", "channel": channel, "reason": reason}}:
                self.receive({"type": "gap", "channel": channel, "data": reason})
            case {"message": message}:
                self.receive(message)
                self._places[message["channel"]] = message["position"]
            case {"subscribed": channel}:
                self._places[channel] = said.get("position", "")
            case {"status": status}:
                self.statuses.append(status)
            case {"closed": code}:
                self.closes.append(code)
            case {"signedOut": reason}:
                self.signed_out.append(reason)
            case {"asked": why}:
                self.asked.append(why)
            case {"drained": number}:
                self._drained = number
            case {"error": code}:
                self.errors.append(code)
            case {"pageerror": error}:
                raise AssertionError(error)
            case _:
                pass
