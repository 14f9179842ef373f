from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.platform.emptying import empty
from mesaya_ws.core.platform.schedule import Schedule

IDS = st.sampled_from("abcdef")
TIMES = st.sampled_from([None, "soon", "2026-01-19T23:00:00Z", "2026-01-20T01:00:00Z", "2026-01-21T01:00:00-05:00"])
RESERVATIONS = st.none() | st.fixed_dictionaries(
    {"restaurantId": st.sampled_from(["r", "s", None]), "reservationTime": TIMES}
)


def coming(known, restaurant, day):
    """Return the ids of those that begin at a day or later, or nobody knows when."""
    days = {None: "~", "soon": "~", "2026-01-21T01:00:00-05:00": "2026-01-21T06:00:00Z"}
    return {
        id
        for id, data in known.items()
        if data["restaurantId"] == restaurant and days.get(data["reservationTime"], data["reservationTime"])[:10] >= day
    }


@given(st.lists(st.tuples(IDS, RESERVATIONS)))
def test_those_to_come_are_found_whatever_became_of_them(changes):
    schedule, known = Schedule(), {}
    for id, data in changes:
        former = known.pop(id, None)
        if data is not None:
            data = {name: value for name, value in data.items() if value is not None} | {"id": id}
            schedule.put(id, former, data, 0)
            known[id] = {"restaurantId": None, "reservationTime": None} | data
        elif former is not None:
            schedule.remove(id, former, 0)
        for restaurant in "rs":
            for day in ("2026-01-19", "2026-01-20", "2026-01-21", "2026-01-22"):
                found = [each["id"] for each in schedule.since(restaurant, day)]
                assert len(found) == len(set(found)) == schedule.count_since(restaurant, day, 1000)
                assert set(found) == coming(known, restaurant, day)


def test_nothing_is_left_of_what_is_no_more():
    schedule, data = Schedule(), {"restaurantId": "r", "reservationTime": "2026-01-20T01:00:00Z"}
    schedule.put("a", None, data, 0)
    schedule.remove("a", data, 0)
    assert not any(schedule.tables())
    schedule.put("a", None, data, 0)
    list(empty(*schedule.tables()))
    assert list(schedule.since("r", "")) == []
