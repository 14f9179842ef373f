"""What tests of several folders use."""

import inspect
import io
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import structlog
from hypothesis import settings

from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.runtime.logs import configure
from mesaya_ws.statestore.store import LmdbState
from tests import guardian

NewStore = Callable[[], MemoryState | LmdbState]

# How long an example takes says something of the machine, not of what is tested.
settings.register_profile("quick", deadline=None, max_examples=10)
settings.register_profile("usual", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.load_profile("thorough" if os.environ.get("CI") else "usual")


def pytest_configure(config: pytest.Config) -> None:
    """Let kafka-python read its own files as it does; all other warnings are errors. Let commands be interrupted.

    Of the quick tests, those that try examples try few.
    """
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    if config.option.markexpr == "quick":
        settings.load_profile("quick")
    # In the background, a shell has SIGINT ignored; so it would be by the commands that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whatever ends the tests, also SIGTERM or worse, ends their gateways and brokers.
    guardian.start()


NOT_QUICK = ("e2e", "faults", "scripts", "security")
"""Folders whose tests start processes, and wait for them."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import those folders when the quick tests alone are asked for."""
    folder = collection_path.relative_to(Path(__file__).parent).parts[:1]
    return True if config.option.markexpr == "quick" and folder and folder[0] in NOT_QUICK else None


STOPWATCHES = {"Steps", "check_best_of", "take", "thread_time", "process_time", "longest", "most_calls_in_a_step"}
"""By what tests measure how long something takes, or count its calls, which makes it several times as long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `-m quick` selects: those of a module within its process, but for those that take long.

    Nor are those among them that measure time or count calls, for which a machine should have nothing else to do.
    """
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        test = inspect.unwrap(getattr(item, "obj", pytest_configure))
        if (
            folder not in NOT_QUICK
            and not any(map(item.get_closest_marker, ("kafka", "faults", "slow")))
            and not STOPWATCHES.intersection(_names(test.__code__))
        ):
            item.add_marker("quick")


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function uses, with those in its comprehensions and inner functions."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged so far, at any level, as the service logs it."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    configure("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kafka_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Kafka: KAFKA_TEST_BROKERS, or else a broker that runs for the session.

    Other tests use it at the same time: topics have names of their own, and nobody stops it. A test that cannot have it
    fails.
    """
    if given := os.environ.get("KAFKA_TEST_BROKERS"):
        yield given
        return
    broker = _broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker.address
    broker.stop()


@pytest.fixture(scope="module")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory):
    """A `Broker` to stop, kill, freeze and start again; one for each module, always there at the start of a test."""
    broker = _broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.kill()


def _broker(folder: Path):
    # Only who needs a broker needs what starts one.
    from tests.kafka_broker import Broker

    return Broker(folder)


@pytest.fixture(params=["dict", "lmdb"])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewStore]:
    """Return what makes empty state stores, of either sort, which are closed after the test."""
    opened = []

    def make() -> MemoryState | LmdbState:
        if request.param == "dict":
            return MemoryState()
        store = LmdbState(tmp_path_factory.mktemp("state"))
        store.reopen()
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()
