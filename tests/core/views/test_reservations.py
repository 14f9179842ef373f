import pytest

from mesaya_ws.core.views.reservations import show_reservation

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
