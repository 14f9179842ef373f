from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform.reservation_time import compose_date, day_of, is_before, start_of_today


@pytest.mark.parametrize(
    ("when", "day", "date"),
    [
        ("2026-01-20T19:00:00.000Z", "2026-01-20", "2026-01-20T19:00:00Z"),
        ("2026-01-20T19:00:00.000Z", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20T19:00:00.999Z", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20 19:00", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20T21:30:00-05:00", "2026-01-20", "2026-01-21T02:30:00Z"),
        ("2026-01-20t19:00:00z", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20T19:00:00.123456789Z", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20 19:00:00+00", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20 14:00:00.5-05", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20T14:00:00.000-05:00", None, "2026-01-20T19:00:00Z"),
        ("2026-01-20T19:00:00-00:00", None, "2026-01-20T19:00:00Z"),
        ("2026-06-30T23:59:60Z", None, "2026-07-01T00:00:00Z"),
        ("2026-06-30T18:59:60-05:00", None, "2026-07-01T00:00:00Z"),
        ("9999-12-31T23:59:60Z", None, None),
        ("+012026-01-20T19:00:00.000Z", None, None),
        ("19:30z", "2026-01-20", "2026-01-20T19:30:00Z"),
        ("19:30:00-05", "2026-01-20", "2026-01-21T00:30:00Z"),
        ("19:30", "2026-01-20", "2026-01-20T19:30:00Z"),
        ("19:30:15", "2026-01-20T00:00:00.000Z", "2026-01-20T19:30:15Z"),
        ("19:30", "2026-01-20T23:00:00-05:00", "2026-01-21T19:30:00Z"),
        ("19:30:00+05:00", "2026-01-20", "2026-01-20T14:30:00Z"),
        ("19:30", None, None),
        ("19:30", "soon", None),
        ("2026-01-20", "2026-01-20", None),
        ("2026-02-30T19:00:00Z", None, None),
        ("soon", "2026-01-20", None),
        ("", "", None),
        (None, "2026-01-20", None),
        (None, None, None),
        ("0001-01-01T00:00:00+14:00", None, None),
    ],
)
def test_when_a_reservation_begins(when, day, date):
    assert compose_date(when, day) == date


@given(st.none() | st.text(max_size=30), st.none() | st.text(max_size=30))
def test_any_text_is_a_time_or_none(when, day):
    date = compose_date(when, day)
    assert date is None or datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ")


@given(st.datetimes())
def test_a_time_of_utc_is_shown_as_it_is_to_the_second(moment):
    assert compose_date(moment.isoformat() + "Z", None) == moment.replace(microsecond=0).isoformat() + "Z"


@pytest.mark.parametrize(
    ("when", "day", "before"),
    [
        ("2026-01-19T23:59:59.000Z", None, True),
        ("2026-01-20T00:00:00.000Z", None, False),
        ("2026-01-21T08:00:00Z", None, False),
        ("2026-01-19T23:00:00-05:00", None, False),
        ("2026-01-20T01:00:00+05:00", None, True),
        ("19:00", "2026-01-19", True),
        ("19:00", "2026-01-20", False),
        ("soon", "2026-01-19", False),
        (None, None, False),
    ],
)
def test_whether_that_is_before_midnight(when, day, before):
    data = {"reservationTime": when, "reservationDate": day}
    assert is_before({name: value for name, value in data.items() if value}, "2026-01-20T00:00:00Z") is before


@given(st.none() | st.text(max_size=30), st.none() | st.text(max_size=30))
def test_a_day_is_that_of_the_time_or_none(when, day):
    data = {"reservationTime": when, "reservationDate": day}
    assert day_of(data) == (compose_date(when, day) or "")[:10]


@pytest.mark.parametrize(
    ("zone", "now", "begins"),
    [
        ("America/Guayaquil", "2026-01-20T04:59:59.999+00:00", "2026-01-19T05:00:00Z"),
        ("America/Guayaquil", "2026-01-20T05:00:00+00:00", "2026-01-20T05:00:00Z"),
        ("UTC", "2026-01-20T23:59:59.999+00:00", "2026-01-20T00:00:00Z"),
        # There, clocks were set from 23:59 to 1:00, and from 0:59 to 0:00 (the one on the day of the first midnight).
        ("America/Santiago", "2025-09-07T12:00:00+00:00", "2025-09-07T04:00:00Z"),
        ("America/Havana", "2025-11-02T12:00:00+00:00", "2025-11-02T04:00:00Z"),
    ],
)
def test_the_day_begins_at_midnight_of_its_place(zone, now, begins):
    assert start_of_today(round(datetime.fromisoformat(now).timestamp() * 1000), ZoneInfo(zone)) == begins


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["America/Guayaquil", "Europe/Madrid"])
)
def test_the_day_that_began_is_that_of_now(moment, name):
    zone = ZoneInfo(name)
    now = moment.replace(microsecond=0, tzinfo=zone)
    began = datetime.fromisoformat(start_of_today(round(now.timestamp() * 1000), zone)).astimezone(zone)
    assert began.date() == now.date()
    assert (began - timedelta(seconds=1)).date() < now.date()
