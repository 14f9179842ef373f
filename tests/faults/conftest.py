"""What the fault matrix shares: the logs, the world, and the table of results."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.node import install, required

from .results import Results
from .world import World, world

PAGE = Path(__file__).with_name("README.md")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-results", action="store_true", help="write the table of results into the README beside it"
    )


RESULTS = pytest.StashKey[Results]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the results of one of several test processes to the one that prints them (see pytest-xdist)."""
    config = session.config
    if hasattr(config, "workeroutput") and RESULTS in config.stash:
        config.workeroutput["faults"] = config.stash[RESULTS].lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what `pytest_sessionfinish` has handed over."""
    lines = getattr(node, "workeroutput", {}).get("faults", [])
    node.config.stash.setdefault(RESULTS, Results()).lines.extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what all faults have led to; write it into the page when that is asked for."""
    results = config.stash.get(RESULTS, None)
    if results is not None and results.lines:
        terminalreporter.section("faults")
        terminalreporter.write_line(results.table())
        if config.getoption("--write-results"):
            results.write(PAGE)


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """What the faults have led to."""
    return pytestconfig.stash.setdefault(RESULTS, Results())


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One test of the matrix runs at a time, in several processes, too: two are more than two cores can do in time."""
    if request.node.get_closest_marker("faults") is None:
        yield
        return
    with (tmp_path_factory.getbasetemp().parent / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="package")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory):
    """A `Broker` for the whole matrix; every test that ends it starts it again."""
    from tests.kafka_broker import Broker

    broker = Broker(tmp_path_factory.mktemp("faults"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(params=["node", "chromium"])
def browser(request: pytest.FixtureRequest) -> bool:
    """Whether JavaScript clients are in a browser; without it, or without Node, the test is skipped."""
    install()
    if request.param == "chromium":
        required("chromium")
    return bool(request.param == "chromium")


@pytest.fixture
def sqlite_world(tmp_path: Path, results: Results):
    """Return what opens a world on a new embedded log."""
    from .sqlite_log import sqlite_log

    @asynccontextmanager
    async def opened(**only_for_kafka: object) -> AsyncIterator[World]:
        async with sqlite_log(tmp_path) as log, world(log, tmp_path, results) as made:
            yield made

    return opened


@pytest.fixture
def kafka_world(tmp_path: Path, results: Results, kafka_broker):
    """Return what opens a world on a Kafka that has nothing in it."""
    from .kafka_log import kafka_log

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[World]:
        async with kafka_log(kafka_broker.address, **options) as log, world(log, tmp_path, results) as made:
            yield made

    return opened


ON_EITHER_LOG = pytest.mark.parametrize(
    ("any_world", "browser"),
    [("sqlite", "chromium"), pytest.param("kafka", "node", marks=pytest.mark.kafka)],
    indirect=True,
)
"""For JavaScript clients: each log once, and each place where they run; one does not know of the other."""


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def any_world(request: pytest.FixtureRequest):
    """Return what opens a world, on each of the logs."""
    return request.getfixturevalue(f"{request.param}_world")
