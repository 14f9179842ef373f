"""A program with a session of the client, and what must hold for it whatever happens."""

import random
from contextlib import suppress

import trio
from attrs import define

from mesaya_ws.client.session import RefusedError, connect
from tests.client.model_gateway import Gateway, offset_of
from tests.client.model_network import Network

URL = "ws://127.0.0.1:1/ws"
CLOSED_WITHIN = 3.0
"""Seconds in which a session ends, whatever it is doing."""


@define(eq=False)
class Wanted:
    """A subscription of the program, from when `subscribe` was called until `unsubscribe` is."""

    channel: str
    snapshot: bool
    since: int
    seen: int | None = None
    """Up to which offset everything is known, None before the beginning."""
    has_gap: bool = False


class Program:
    """Does what a test has written down for it, while a gateway and a network do the same; watches what comes of it."""

    def __init__(self, nursery, seed):
        self.random = random.Random(seed)
        self.network = Network(nursery, self.random)
        self.gateway = Gateway(self.network, self.random)
        self.network.on_connect = self.gateway.on_connect
        trio.socket.set_custom_socket_factory(self.network)
        self.nursery = nursery
        self.happened = []
        self.wanted = {}
        self.asked = 0
        self.tokens = "good"
        self.may_be_refused = False
        """Whether tokens have been bad in this session: two in a row end it."""
        self.rests = 0.0
        self.session = None
        """Set while it is open."""
        self._positions = {}
        self._ends = trio.Event()
        self._is_over = False

    def note(self, text):
        self.happened.append(f"{trio.current_time():9.3f} {text}")

    def check(self, is_right, text):
        if not is_right:
            self.note(f"WRONG: {text}")
            raise AssertionError(f"{text}\n" + "\n".join(self.happened[-200:]))

    async def token(self):
        mode = self.tokens
        self.note(f"token: {mode}")
        token = self.gateway.issue(self.random.uniform(40, 240))
        match mode:
            case "slow":
                await trio.sleep(self.random.uniform(0.5, 20))
            case "failing":
                raise OSError("no network")
            case "hanging":
                await trio.sleep_forever()
            case "bad":
                self.may_be_refused = True
                return "bad"
        return token

    # Sessions, one after another

    async def live(self):
        """Have a session, and another one when that has ended, until it is `over`."""
        while not self._is_over:
            self._ends = trio.Event()
            self.may_be_refused = self.tokens == "bad"
            async with connect(URL, dict(self._positions), token=self.token, notify=self.note) as session:
                self.session = session
                for each in self.wanted.values():
                    await session.subscribe(each.channel, snapshot=each.snapshot)
                async with trio.open_nursery() as self._tasks:
                    self._tasks.start_soon(self._consume, session)
                    await self._ends.wait()
                    self._tasks.cancel_scope.cancel()
                self.session = None
                self._positions, began = session.positions, trio.current_time()
            took = trio.current_time() - began
            self.note(f"the session has ended within {took:.2f} s")
            self.check(took <= CLOSED_WITHIN, "it takes too long to close")
            self.check(not self.network.open_sockets, "a connection is left over")
            self.check(not session.connected, "a session that has ended is connected")
            self.asked = 0

    def end_session(self):
        self._ends.set()

    def end(self):
        self._is_over = True
        self._ends.set()

    async def _consume(self, session):
        try:
            async for event in session:
                self._on_event(event)
                if self.rests:
                    await trio.sleep(self.rests)
        except RefusedError as refused:
            self.note(f"refused: {refused.code}")
            self.check(self.may_be_refused, f"the session was refused: {refused.code}")
            self._ends.set()
        else:
            self.check(False, "the session has ended by itself")

    def _on_event(self, event):
        self.note(f"{event.type} on {event.channel}: {event.position}")
        wanted = self.wanted.get(event.channel)
        self.check(wanted, f"{event.type} on {event.channel}, which is not subscribed")
        before = f"after {wanted.seen} and {'a' if wanted.has_gap else 'no'} gap, since {wanted.since}"
        if event.type == "gap":
            wanted.has_gap = True
            return
        at = offset_of(event.position)
        self.check(at >= max(wanted.since, wanted.seen or 0), f"{event.type} {at} comes {before}")
        if event.type == "snapshot":
            self.check(wanted.has_gap or (wanted.snapshot and wanted.seen is None), f"a snapshot comes {before}")
            wanted.has_gap = False
        else:
            self.check(not wanted.has_gap, f"{at} comes {before}")
            if wanted.seen is None:
                self.check(not wanted.snapshot, f"{at} comes before the snapshot")
            else:
                self.check(at == self.gateway.next_offset(event.channel, wanted.seen), f"{at} comes {before}")
        wanted.seen = at
        self.check_positions()

    def check_positions(self):
        """See that positions neither go back nor pass over anything."""
        if self.session is None:
            return
        for channel, position in self.session.positions.items():
            wanted, at = self.wanted.get(channel), offset_of(position)
            self.check(wanted, f"there is a position on {channel}, which is not subscribed")
            if wanted.seen is None:
                self.check(not wanted.snapshot, f"there is a position on {channel} before the snapshot")
                self.check(at >= wanted.since, f"the position on {channel} is {at}, before it was subscribed")
            else:
                self.check(at >= wanted.seen, f"the position on {channel} is {at}, and was {wanted.seen}")
                missing = self.gateway.next_offset(channel, wanted.seen)
                self.check(missing is None or missing > at, f"the position on {channel} is {at}, without {missing}")
            wanted.seen = at

    # What happens to it

    def revoke(self):
        """Have all tokens be bad, also one that is being brought."""
        self.may_be_refused = True
        self.gateway.revoke()

    # What the program does

    async def subscribe(self, channel, snapshot):
        if self.session is not None and channel not in self.wanted:
            self.wanted[channel] = Wanted(channel, snapshot, self.gateway.end)
            await self.session.subscribe(channel, snapshot=snapshot)

    async def unsubscribe(self, channel):
        if self.session is not None and channel in self.wanted:
            del self.wanted[channel]
            await self.session.unsubscribe(channel)

    def ask(self):
        if self.session is not None:
            self.asked += 1
            self._tasks.start_soon(self._ask, self.session)

    async def _ask(self, session):
        with suppress(RefusedError):  # the session is over
            answer = await session.ack("r1")
            self.check(answer.reservation == "r1", "the answer is another one's")
        self.asked -= 1

    # How it ends

    def faults(self):
        """Return what is not as it has to be once everything passes."""
        if self.session is None or not self.session.connected:
            return ["there is no connection"]
        faults = [f"{self.asked} requests are not answered"] if self.asked else []
        served = [each for each in self.gateway.sessions.values() if set(each.places) == set(self.wanted)]
        if len(self.gateway.sessions) != 1 or not served:
            faults.append(f"subscribed are {[list(each.places) for each in self.gateway.sessions.values()]}")
        for channel, wanted in self.wanted.items():
            missing = None if wanted.seen is None else self.gateway.next_offset(channel, wanted.seen)
            if wanted.has_gap or missing or (wanted.seen is None):
                faults.append(f"{channel} is at {wanted.seen}, gap: {wanted.has_gap}, and misses {missing}")
        return faults

    async def settle(self, seconds):
        """Wait until all is as it has to be."""
        for _ in range(seconds):
            self.check_positions()
            if not self.faults():
                return
            await trio.sleep(1)
        self.check(False, f"after {seconds} s, {self.faults()}; wanted are {list(self.wanted)}")
