from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.views.reservations import compose_date, is_before, show_reservation

WHOLE = {
    "reservationId": "r",
    "restaurantId": "R",
    "tableId": "t",
    "userId": "u",
    "reservationDate": "2026-01-20T00:00:00.000Z",
    "reservationTime": "2026-01-20T19:00:00.000Z",
    "numberOfGuests": 2,
    "status": "pending",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-02T00:00:00.000Z",
}


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


def test_a_reservation_as_clients_see_it():
    assert show_reservation(WHOLE, {}) == {
        "reservationId": "r",
        "restaurantId": "R",
        "tableId": "t",
        "userId": "u",
        "clientName": None,
        "date": "2026-01-20T19:00:00Z",
        "numberOfGuests": 2,
        "status": "pending",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-02T00:00:00.000Z",
    }


def test_what_is_not_known_is_null_and_what_nobody_knows_passes():
    shown = show_reservation({"reservationId": "r", "occasion": "cena"}, {})
    assert shown == dict.fromkeys(show_reservation(WHOLE, {})) | {"reservationId": "r", "occasion": "cena"}


@pytest.mark.parametrize(
    ("own", "names", "called"),
    [
        ({"userName": "Sra. Loor"}, {"u": "Ana Loor"}, "Sra. Loor"),
        ({"userName": ""}, {"u": "Ana Loor"}, "Ana Loor"),
        ({}, {"u": "Ana Loor"}, "Ana Loor"),
        ({}, {"another": "Ana Loor"}, None),
    ],
)
def test_the_name_of_the_client(own, names, called):
    assert show_reservation(WHOLE | own, names)["clientName"] == called


def test_without_a_user_there_is_no_name():
    assert show_reservation({"reservationId": "r"}, {"u": "Ana"})["clientName"] is None


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
def test_whether_that_is_before_a_day(when, day, before):
    data = {"reservationTime": when, "reservationDate": day}
    assert is_before({name: value for name, value in data.items() if value}, "2026-01-20") is before
