"""What must be so after an attack: nothing of it is left, and nobody is asked to do anything."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from mesaya_ws.runtime.logs import LINES
from tests.support.gateway import Gateway

MIB = 1024 * 1024

COUNTERS = ("mesaya_connections", "mesaya_subscriptions", "mesaya_channels", "mesaya_waiting_bytes")
"""What is zero when nobody is connected."""

KINDS = 60
"""Kinds of lines that strangers can cause, at most."""


def check_no_fault(lines: str) -> list[dict[str, Any]]:
    """Return the events of `lines`, and see that none of them asks anybody to do something."""
    events = [json.loads(line) for line in lines.splitlines()]
    assert [event for event in events if event["level"] not in ("debug", "info")] == []
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


def check_calm(gateway: Gateway, sockets: int) -> None:
    """See that a gateway lives, is ready, and holds nothing of anybody any more, but so many sockets as at first."""
    gateway.until(lambda: not any(gateway.metric(name) for name in COUNTERS), 30, f"{COUNTERS} are zero")
    assert gateway.request("/health/ready")[0] == 200
    gateway.until(lambda: open_sockets(gateway) <= sockets, 30, f"there are {sockets} sockets, as at first")


def open_sockets(gateway: Gateway) -> int:
    """Return how many sockets a gateway has open."""
    links = [path.readlink() for path in Path(f"/proc/{gateway.pid}/fd").iterdir() if path.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


def memory(gateway: Gateway) -> int:
    """Return how many bytes of memory a gateway holds."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024
