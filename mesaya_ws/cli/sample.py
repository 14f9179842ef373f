"""The sample records: a restaurant, from its first floor plan to a Saturday evening.

They are of a fixed day, and are moved to the last one, so that future reservations in them are still in the future.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import resources

_DATE = re.compile(rb'"([0-9]{4}-[0-9]{2}-[0-9]{2})')
_TIMESTAMP = re.compile(r'"timestamp": "([^"]+)"')


def sample_lines(now: datetime | None = None) -> Iterator[bytes]:
    """Return the lines, moved by whole days, so that the last record is less than a day before `now`."""
    text = resources.files("mesaya_ws").joinpath("samples/captured.jsonl").read_text(encoding="utf-8")
    last = max(map(datetime.fromisoformat, _TIMESTAMP.findall(text)))
    days = ((now or datetime.now(UTC)) - last) // timedelta(days=1)

    def moved(found: re.Match[bytes]) -> bytes:
        day = date.fromisoformat(found[1].decode()) + timedelta(days=days)
        return f'"{day.isoformat()}'.encode()

    return (_DATE.sub(moved, line) for line in text.encode().splitlines())
