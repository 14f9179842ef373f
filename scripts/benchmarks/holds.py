"""What a table hold costs: `PYTHONPATH=scripts:. scripts/python scripts/benchmarks/holds.py [--kafka]`.

Guests of one restaurant hold tables, and somebody looks at the floor plan. First each guest has a table of its own, and
releases it at once: how long until each of both is answered, by one clock, as all are in this process, and the
processor time of the gateway for both, with all that it does meanwhile. Then all guests claim one table at the same
time, which one of them gets, and releases when the others have been refused: the same, and how many records of the log
that takes, by the tokens.
"""

import argparse
from itertools import count, pairwise

import trio
from attrs import Factory, define
from load.process import Observed

from benchmarks.exchanges import HEAD, append_restaurants, measure, parser, row
from mesaya_ws.client.holds import Hold
from mesaya_ws.client.requests import RequestError
from mesaya_ws.client.session import Session, connect

RESTAURANT = "r1"
WARM_UP = 5.0
"""Seconds before the first claim that counts."""

ROUND = 3.0
"""Seconds from one rush to the next, in which guests may ask again."""

SHARE = 0.4
"""Claims a second of one guest at most: a claim and its release are two messages, of sixty a minute."""


@define
class Took:
    """How long claims and releases took, in seconds; and the tokens, in their order."""

    claims: list[float] = Factory(list)
    refusals: list[float] = Factory(list)
    releases: list[float] = Factory(list)
    tokens: list[int] = Factory(list)

    async def release(self, hold: Hold) -> None:
        """Release a hold."""
        began = trio.current_time()
        await hold.release()
        self.releases.append(trio.current_time() - began)


async def join(url: str, user: str, *, task_status: trio.TaskStatus[Session]) -> None:
    """Stay connected as a user, until cancelled."""
    async with connect(url, user=user) as session:
        task_status.started(session)
        async for _ in session:
            pass


async def hold_one(session: Session, table: str, took: Took) -> None:
    """Hold a table, and release it."""
    began = trio.current_time()
    async with session.hold(RESTAURANT, [table]) as hold:
        took.claims.append(trio.current_time() - began)
        await took.release(hold)


async def rush(guests: list[Session], took: Took) -> None:
    """Claim one table for all guests; the one who gets it releases it when all are answered."""
    left, answered = len(guests), trio.Event()

    async def claim(session: Session) -> None:
        nonlocal left
        began = trio.current_time()
        try:
            async with session.hold(RESTAURANT, ["wanted"]) as hold:
                took.claims.append(trio.current_time() - began)
                took.tokens.append(hold.token)
                left -= 1
                await answered.wait()
                await took.release(hold)
        except RequestError as refused:
            if refused.code != "conflict":
                raise
            took.refusals.append(trio.current_time() - began)
            left -= 1
            if not left:
                answered.set()

    async with trio.open_nursery() as nursery:
        for session in guests:
            nursery.start_soon(claim, session)


async def apart(guests: list[Session], options: argparse.Namespace, gateway: Observed) -> None:
    """Hold a table of its own for each, and print what it took."""
    uncounted, took, cpu = Took(), Took(), 0.0
    began = trio.current_time()
    async with trio.open_nursery() as holding:
        for number in count():
            elapsed = number / options.rate
            if elapsed >= WARM_UP + options.seconds:
                break
            await trio.sleep_until(began + elapsed)
            counts = elapsed >= WARM_UP
            if counts and not cpu:
                cpu = gateway.cpu()
            guest = guests[number % len(guests)]
            holding.start_soon(hold_one, guest, f"t{number % len(guests)}", took if counts else uncounted)
    cpu = gateway.cpu() - cpu
    print(f"{len(took.claims):,} holds of {len(guests)} guests, {options.rate:g} a second, in ms:\n\n{HEAD}")
    print(row("until `selected`", took.claims))
    print(row("until `released`", took.releases))
    print(f"\nCPU of the gateway: {cpu / len(took.claims) * 1e6:.0f} µs a claim and its release.\n")


async def together(guests: list[Session], options: argparse.Namespace, gateway: Observed) -> None:
    """Claim one table for all, several times, and print what it took."""
    took = Took()
    await trio.sleep(ROUND)
    cpu = gateway.cpu()
    for _ in range(options.rounds):
        began = trio.current_time()
        await rush(guests, took)
        await trio.sleep_until(began + ROUND)
    cpu = gateway.cpu() - cpu
    records = sorted(after - before for before, after in pairwise(took.tokens))
    print(f"{options.rounds} rushes of {len(guests)} guests for one table, in ms:\n\n{HEAD}")
    print(row("until `selected`", took.claims))
    print(row("until `conflict`", took.refusals))
    print(row("until `released`", took.releases))
    print(f"\nCPU of the gateway: {cpu / options.rounds * 1e3:.1f} ms a rush", end="")
    print(f", of {records[len(records) // 2]} records ({records[0]} to {records[-1]})." if records else ".")


async def run(options: argparse.Namespace, settings: dict[str, str], gateway: Observed) -> None:
    """Hold tables for guests, each its own and then all the same, and print what was seen."""
    url = f"ws://127.0.0.1:{settings['PORT']}/ws"
    await append_restaurants(settings, [RESTAURANT])
    async with trio.open_nursery() as nursery:
        watcher = await nursery.start(join, url, "watcher")
        await watcher.subscribe(f"restaurant:{RESTAURANT}:tables")
        guests = [await nursery.start(join, url, f"guest-{number}") for number in range(options.guests)]
        await apart(guests, options, gateway)
        await together(guests, options, gateway)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Measure, and print two tables."""
    arguments = parser(__doc__)
    arguments.add_argument("--guests", type=int, default=200, help="(default: 200)")
    arguments.add_argument("--rate", type=float, default=50.0, help="claims a second (default: 50)")
    arguments.add_argument("--seconds", type=float, default=30.0, help="for which claims count (default: 30)")
    arguments.add_argument("--rounds", type=int, default=10, help="rushes for one table (default: 10)")
    options = arguments.parse_args()
    if options.rate > SHARE * options.guests:
        arguments.error(f"{options.guests} guests may claim {SHARE * options.guests:g} tables a second")
    measure(run, options)


if __name__ == "__main__":
    main()
