"""Running Trio in a command, with Ctrl-C as an exception."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

_Result = TypeVar("_Result")


def run(service: Callable[..., Awaitable[_Result]], *arguments: object) -> _Result:
    """Run `service` under Trio, and return its result; Ctrl-C raises `KeyboardInterrupt` in it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return trio.run(service, *arguments)
