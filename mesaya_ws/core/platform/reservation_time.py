"""When a reservation begins: its record says it in one field, or in two."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from mesaya_ws.core.platform.entity import Data

_EPOCH, _MILLISECOND = datetime(1970, 1, 1), timedelta(milliseconds=1)

BEGINNING = ("reservationTime", "reservationDate")
"""The fields that say when a reservation begins."""


def day_of(data: Data) -> str:
    """Return the day on which a reservation begins (`YYYY-MM-DD`, UTC); "" if nothing says when."""
    begins = compose_date(data.get("reservationTime"), data.get("reservationDate"))
    return "" if begins is None else begins[:10]


def is_before(data: Data, moment: str) -> bool:
    """Return whether a reservation begins before a moment (`YYYY-MM-DDTHH:MM:SSZ`); not if nothing says when."""
    begins = compose_date(data.get("reservationTime"), data.get("reservationDate"))
    return begins is not None and begins < moment


def start_of_today(now: int, zone: tzinfo) -> str:
    """Return when the day began in a time zone (`YYYY-MM-DDTHH:MM:SSZ`), at the time `now` (ms since the epoch).

    Where clocks are set forward at midnight, it begins an hour later; where they are set back, with the first midnight.
    """
    today = datetime.fromtimestamp(now / 1000, zone).date()
    return _utc(datetime.combine(today, time.min, zone)).isoformat(timespec="seconds") + "Z"


# Tables are booked for the same hours again and again, and a reservation has several records.
@lru_cache(maxsize=4096)
def compose_date(when: str | None, day: str | None) -> str | None:
    """Return when a reservation begins, as `YYYY-MM-DDTHH:MM:SSZ`, or None where that is not known.

    `when` is an instant, or else a time of day on `day` (a day, or any instant of it), as RFC 3339 writes it or a
    database's text does (a blank for the T, no minutes in the offset). Times without an offset are UTC.
    """
    if when is None:
        return None
    try:
        start = _instant(when)
        if start is None and day is not None:
            on = _instant(day) or date.fromisoformat(day)
            start = _utc(datetime.combine(on, time.fromisoformat(when.upper())))
    except (ValueError, OverflowError):
        return None
    return None if start is None else start.isoformat(timespec="seconds") + "Z"


def milliseconds_of(text: str) -> int | None:
    """Return an instant, written as RFC 3339 has it, in ms since 1970; None where it is none."""
    try:
        instant = _instant(text)
    except (ValueError, OverflowError):
        return None
    return None if instant is None else round((instant - _EPOCH) / _MILLISECOND)


def _instant(text: str) -> datetime | None:
    """Return the instant that a text gives; None where it is only a day or a time of day. Raises ValueError."""
    if text[10:11] not in ("T", "t", " "):
        return None
    text = text.upper()  # "T" and "Z" may be small (RFC 3339, 5.6)
    if text[16:19] == ":60":  # a leap second (RFC 3339, 5.7) is the first of the next minute, as POSIX counts
        return _utc(datetime.fromisoformat(f"{text[:16]}:59{text[19:]}")) + timedelta(seconds=1)
    return _utc(datetime.fromisoformat(text))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
