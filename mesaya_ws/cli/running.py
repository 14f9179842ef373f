"""How a command runs what it is for: from then on, Ctrl-C is something to be tidied up after."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

_Result = TypeVar("_Result")


def run(service: Callable[..., Awaitable[_Result]], *arguments: object) -> _Result:
    """Run `service` under Trio to its end, and return what it does; a Ctrl-C is raised in it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return trio.run(service, *arguments)
