"""What must be so after an attack: nothing of it is left, and nobody is asked to do anything."""

import json
import re
from collections import Counter
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from mesaya_ws.runtime.logs import LINES
from tests.support.gateway import Gateway
from tests.timing import PATIENCE

MIB = 1024 * 1024

COUNTERS = ("mesaya_connections", "mesaya_subscriptions", "mesaya_channels", "mesaya_waiting_bytes")
"""What is zero when nobody is connected."""

KINDS = 60
"""Kinds of lines that strangers can cause, at most."""


def check_no_fault(lines: str, expected: Container[str] = ()) -> list[dict[str, Any]]:
    """Return the events of `lines`, and see that none of them asks anybody to do something, but those `expected`."""
    events = [json.loads(line) for line in lines.splitlines()]
    assert [
        event for event in events if event["level"] not in ("debug", "info") and event["event"] not in expected
    ] == []
    assert "Traceback" not in lines
    return events


def check_log(lines: str) -> None:
    """See likewise, and that strangers cannot fill the log, by `lines` of less than a minute."""
    events = check_no_fault(lines)
    kinds = Counter(
        (event["event"], event.get("code"), event.get("reason")) for event in events if event["level"] != "debug"
    )
    assert max(kinds.values(), default=0) <= LINES
    assert len(kinds) <= KINDS


def check_calm(gateway: Gateway, sockets: int | None = None) -> None:
    """See that a gateway lives, is ready, and holds nothing of anybody any more, but so many `sockets` as at first."""
    gateway.until(lambda: not any(gateway.metric(name) for name in COUNTERS), PATIENCE, f"{COUNTERS} are zero")
    assert gateway.request("/health/ready")[0] == 200
    gateway.until(lambda: open_connections(gateway) == 0, PATIENCE, "there is no connection at its port")
    if sockets is not None:
        gateway.until(lambda: open_sockets(gateway) <= sockets, PATIENCE, f"there are {sockets} sockets, as at first")


def processes(gateway: Gateway) -> list[int]:
    """Return the ids of a gateway's processes: its own, and those of its workers."""
    found = [gateway.pid]
    for thread in Path(f"/proc/{gateway.pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found += map(int, thread.read_text().split())
    return found


def open_sockets(gateway: Gateway) -> int:
    """Return how many sockets a gateway has open."""
    links = [path for pid in processes(gateway) for path in Path(f"/proc/{pid}/fd").glob("*")]
    return sum(_target(link).startswith("socket:") for link in links)


def open_connections(gateway: Gateway) -> int:
    """Return how many connections at its port the processes of a gateway hold."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port, listening, nobodys = f"{gateway.port:04X}", "0A", "0"
    return sum(row[1].endswith(f":{port}") and row[3] != listening and row[9] != nobodys for row in rows)


def _target(link: Path) -> str:
    """Return where a link leads to; it may be gone by now."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def memory(gateway: Gateway) -> int:
    """Return how many bytes of memory a gateway holds."""
    found = [re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in processes(gateway)]
    return sum(int(size[1]) for size in found if size is not None) * 1024
