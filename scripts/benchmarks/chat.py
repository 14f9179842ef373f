"""How long a message of a chat takes: `PYTHONPATH=scripts:. scripts/python scripts/benchmarks/chat.py [--kafka]`.

Guests write to restaurants, each in a conversation of its own. Of each message: how long until the gateway has answered
that it is published, and until the other side has received it, by one clock, as all are in this process; and the
processor time of the gateway for each message, with all that it does meanwhile.
"""

import argparse
import random

import trio
from attrs import Factory, define
from load.process import Observed

from benchmarks.exchanges import HEAD, append_restaurants, measure, parser, row
from mesaya_ws.client.session import Session, connect

GUESTS = 100
"""Guests of one restaurant, and the conversations that it is subscribed to on one connection."""

WARM_UP = 5.0
"""Seconds before the first message that counts."""

PATIENCE = 60.0


@define
class Seen:
    """When each message was written, answered and received, by its id."""

    written: dict[str, float] = Factory(dict)
    answered: dict[str, float] = Factory(dict)
    received: dict[str, float] = Factory(dict)
    news: trio.Event = Factory(trio.Event)
    """Set when the next one is received."""

    def row(self, name: str, ends: dict[str, float]) -> str:
        """Return a row of the table."""
        return row(name, (ends[id] - began for id, began in self.written.items()))


async def join(url: str, user: str, seen: Seen, *, task_status: trio.TaskStatus[Session]) -> None:
    """Stay connected as a user, and note when messages arrive, until cancelled."""
    async with connect(url, user=user) as session:
        task_status.started(session)
        async for event in session:
            if event.type == "chat.message":
                seen.received[event.data["messageId"]] = trio.current_time()
                seen.news.set()
                seen.news = trio.Event()


async def write(session: Session, restaurant: str, guest: str, id: str, seen: Seen | None) -> None:
    """Write a message, and note when that was answered, if it counts."""
    began = trio.current_time()
    await session.chat(restaurant, guest).publish("Is there a table on the terrace?", message_id=id)
    if seen is not None:
        seen.written[id], seen.answered[id] = began, trio.current_time()


async def run(options: argparse.Namespace, settings: dict[str, str], gateway: Observed) -> None:
    """Make them write, and print what was seen."""
    url, seen = f"ws://127.0.0.1:{settings['PORT']}/ws", Seen()
    places = [(f"r{number // GUESTS}", f"guest-{number}") for number in range(options.conversations)]
    restaurants = sorted({restaurant for restaurant, _ in places})
    await append_restaurants(settings, restaurants)
    async with trio.open_nursery() as nursery:
        for restaurant in restaurants:
            owner = await nursery.start(join, url, f"owner-{restaurant}", seen)
            for place, guest in places:
                if place == restaurant:
                    await owner.subscribe(f"restaurant:{restaurant}:chat:{guest}")
        guests = [(await nursery.start(join, url, guest, seen), place, guest) for place, guest in places]
        order = random.Random(1)
        began, cpu, count, counted = trio.current_time(), 0.0, 0, 0
        async with trio.open_nursery() as writing:
            while (elapsed := count / options.rate) < WARM_UP + options.seconds:
                await trio.sleep_until(began + elapsed)
                counts = elapsed >= WARM_UP
                if counts and not counted:
                    cpu = gateway.cpu()
                if count % len(guests) == 0:
                    order.shuffle(guests)
                session, restaurant, guest = guests[count % len(guests)]
                writing.start_soon(write, session, restaurant, guest, f"m{count}", seen if counts else None)
                count, counted = count + 1, counted + counts
        with trio.fail_after(PATIENCE):
            while seen.written.keys() - seen.received.keys():
                await seen.news.wait()
        cpu = gateway.cpu() - cpu
        nursery.cancel_scope.cancel()
        print(f"{counted:,} messages in {options.conversations:,} conversations, {options.rate:g} a second, in ms:\n")
        print(HEAD)
        print(seen.row("until the answer", seen.answered))
        print(seen.row("until the other side has it", seen.received))
        print(f"\nCPU of the gateway: {cpu / counted * 1e6:.0f} µs a message.")


def main() -> None:
    """Measure, and print a table."""
    arguments = parser(__doc__)
    arguments.add_argument("--rate", type=float, default=100.0, help="messages a second (default: 100)")
    arguments.add_argument("--conversations", type=int, default=1000, help="(default: 1000)")
    arguments.add_argument("--seconds", type=float, default=30.0, help="for which messages count (default: 30)")
    measure(run, arguments.parse_args(), MAX_SUBSCRIPTIONS=str(GUESTS))


if __name__ == "__main__":
    main()
