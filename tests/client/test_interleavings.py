"""Whatever happens to a session while whatever else is under way, some things hold (`Program`).

An example that fails prints its steps and what has happened. `EXAMPLES=5000 pytest …` tries that many, and new ones.
"""

import os

import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.client.model_gateway import CHANNELS
from tests.client.model_program import Program

SETTLED_WITHIN = 240
"""Seconds after which everything is as it should be, once nothing stands in the way: silence is noticed after 40, and
an attempt may have been put off by 30."""


def any_of(these, number):
    these = list(these)
    return these[number % len(these)] if these else None


def on_line(act):
    """Return a step that does something to one of the connections."""

    def step(it, n):
        if it.gateway.sessions:
            act(any_of(it.gateway.sessions, n))

    return step


CODES = [(1011, "internal_error"), (4008, "slow"), (1013, "try_again_later"), (1001, "")]


def end(it, n):
    session = any_of(it.gateway.sessions.values(), n)
    if session is not None:
        session.close(*any_of(CODES, n // 7))


def setting(owner, name, *values):
    """Return a step that sets something to one of some values."""

    def step(it, n):
        setattr(it if owner is None else getattr(it, owner), name, any_of(values, n))
        it.note(f"{name}: {any_of(values, n)}")

    return step


STEPS = {
    "rest": lambda it, n: None,
    "publish": lambda it, n: [it.gateway.publish(any_of(CHANNELS, n + k)) for k in range(n % 5 + 1)],
    "subscribe": lambda it, n: it.subscribe(any_of(CHANNELS, n), n % 2 == 0),
    "unsubscribe": lambda it, n: it.unsubscribe(any_of(CHANNELS, n)),
    "anew": lambda it, n: anew(it, any_of(CHANNELS, n), n % 2 == 0),
    "ask": lambda it, n: it.ask(),
    "cut": on_line(lambda line: line.cut()),
    "silence": on_line(lambda line: line.silence()),
    "end": end,
    "announce": lambda it, n: it.gateway.announce(),
    "passes": setting("gateway", "passes", "open", "open", "open", "refused", "cut", "silent", "busy"),
    "tokens": setting(None, "tokens", "good", "good", "slow", "slow", "failing", "hanging", "bad"),
    "requires": setting("gateway", "requires", False, True),
    "revoke": lambda it, n: it.revoke(),
    "forget": lambda it, n: it.gateway.forget(any_of(CHANNELS, n)),
    "resync": lambda it, n: it.gateway.resync(any_of(CHANNELS, n)),
    "behind": lambda it, n: it.gateway.behind(n % 2 == 0),
    "is busy": setting("gateway", "is_busy", False, True),
    "slowness": setting("network", "slowness", 0.0, 0.1, 3.0),
    "rests": setting(None, "rests", 0.0, 0.0, 0.5, 5.0),
    "session": lambda it, n: it.end_session(),
}


async def anew(it, channel, snapshot):
    """Leave a channel, and have it subscribed again at once."""
    await it.unsubscribe(channel)
    await it.subscribe(channel, snapshot)


async def play(seed, steps):
    async with trio.open_nursery() as nursery:
        it = Program(nursery, seed)
        nursery.start_soon(it.live)
        for name, number, pause in steps:
            it.note(f"--- {name} {number}")
            doing = STEPS[name](it, number)
            if hasattr(doing, "__await__"):
                with trio.move_on_after(any_of([0, 0.01, 100], number // 3)):
                    await doing
            it.check_positions()
            await trio.sleep(pause)
        it.note("--- calm")
        it.tokens, it.rests = "good", 0.0
        it.network.slowness = 0.1
        it.gateway.passes, it.gateway.is_busy = "open", False
        it.gateway.behind(False)
        for _ in range(2):
            for channel in CHANNELS:
                it.gateway.publish(channel)
            await it.settle(SETTLED_WITHIN)
        it.end()
        await trio.sleep(10)
        it.check(it.session is None, "the session has not ended")
        nursery.cancel_scope.cancel()


examples = int(os.environ.get("EXAMPLES", "0"))
ALWAYS = ["publish", "publish", "publish", "subscribe", "anew", "anew"]
pauses = st.sampled_from([0.0, 0.0, 0.001, 0.05, 0.3, 1.0, 3.0, 10.0, 60.0])
numbers = st.integers(0, 999)
# What happens seldom among all that may happen, happens often among a few.
steps = st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=5).flatmap(
    lambda some: st.lists(st.tuples(st.sampled_from(ALWAYS + 2 * some), numbers, pauses), min_size=40, max_size=80)
)


@given(st.integers(0, 2**16), steps)
@settings(
    derandomize=not examples,
    max_examples=examples or min(25, settings.default.max_examples),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_session_misses_nothing_repeats_nothing_and_is_never_stuck(seed, steps):
    trio.run(play, seed, steps, clock=MockClock(autojump_threshold=0))
