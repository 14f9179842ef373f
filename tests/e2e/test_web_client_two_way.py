"""The JavaScript client brings something in: chat and table holds, at real gateways that are killed meanwhile."""

import pytest

from tests.e2e.nginx import free_port
from tests.e2e.node import running_node
from tests.e2e.test_web_client_identity import SECRET, publish, record, token
from tests.support.gateway import running

SETTINGS = {"AUTH": "on", "JWT_SECRET": SECRET, "JWT_LEEWAY": "0", "PUBLISH_TOKEN": "a token of the tests"}


@pytest.fixture
def start(tmp_path):
    """Return what starts a gateway, each time on the same log and port."""
    port = str(free_port())
    return lambda name="first": running(tmp_path, name=name, PORT=port, **SETTINGS)


def found(gateway):
    publish(gateway, record("restaurants", "created", "r1", name="Uno", ownerId="o1"))
    publish(gateway, record("sections", "created", "s1", restaurantId="r1", name="Terraza"))
    for table in ("t1", "t2"):
        publish(gateway, record("tables", "created", table, sectionId="s1", number=1, capacity=4, status="AVAILABLE"))


class People:
    """Those who use the client in `two_way.mjs`, and the last that each has reported under each name."""

    def __init__(self, program, **roles):
        self._program = program
        self._reported = {who: {} for who in roles}
        program.say([{"who": who, "token": token(who, *roles)} for who, roles in roles.items()])
        for who in roles:
            self.until(who, state="live")

    def call(self, who, *given, on=None, as_="it"):
        said = {"who": who, "call": given, "as": as_}
        self._program.say([said if on is None else {**said, "on": on}])

    def until(self, who, **wanted):
        """Return what one has reported, as soon as that is among it."""
        while any(self._reported[who].get(name) != value for name, value in wanted.items()):
            reported = self._program.next_of({"who"})
            # What comes of a call is known by its word.
            word = reported.pop("as", None)
            self._reported[reported.pop("who")].update(
                reported if word is None else {word: reported.get("failed", "done")}
            )
        return self._reported[who]


def test_both_sides_chat_and_nothing_is_lost_or_doubled_when_the_gateway_is_killed(start):
    with start() as first:
        found(first)
        with running_node("two_way.mjs", first.url) as program:
            people = People(program, u1=["USER"], o1=["OWNER"])
            people.call("u1", "chat", "r1", as_="chat")
            people.call("o1", "chat", "r1", "u1", as_="chat")
            people.until("u1", chat="done")
            people.call("u1", "send", "Hola", on="chat")
            people.until("o1", messages=[["guest", "Hola", "sent"]], unread=1)
            people.call("o1", "type", on="chat")
            people.until("u1", typing=["restaurant"])
            people.call("o1", "send", "Buenas", on="chat")
            both = [["guest", "Hola", "sent"], ["restaurant", "Buenas", "sent"]]
            people.until("u1", messages=both, unread=1)
            people.call("o1", "read", on="chat")
            people.until("o1", unread=0)
            first.kill()
            people.until("u1", state="connecting")
            people.call("u1", "send", "¿Hay terraza?", on="chat", as_="question")
            people.until("u1", messages=[*both, ["guest", "¿Hay terraza?", "pending"]])
            with start("second"):
                all_three = [*both, ["guest", "¿Hay terraza?", "sent"]]
                people.until("u1", messages=all_three, question="done")
                people.until("o1", messages=all_three, unread=1)


def test_table_is_held_by_one_across_a_restart_and_free_when_it_is_released(start):
    with start() as first:
        found(first)
        with running_node("two_way.mjs", first.url) as program:
            people = People(program, u1=["USER"], u2=["USER"])
            people.call("u1", "hold", "r1", ["t1", "t2"], as_="hold")
            people.until("u1", hold="done")
            people.call("u2", "hold", "r1", ["t2"], as_="hold")
            people.until("u2", hold="conflict")
            first.kill()
            people.until("u1", state="connecting")
            with start("second"):
                people.until("u1", state="live")
                people.until("u2", state="live")
                people.call("u2", "hold", "r1", ["t1"], as_="again")
                people.until("u2", again="conflict")
                people.call("u1", "release", on="hold", as_="release")
                people.until("u1", ended="released")
                people.call("u2", "hold", "r1", ["t1"], as_="last")
                reported = people.until("u2", last="done")
                assert reported["held"]["tables"] == ["t1"]
                assert 200 < reported["held"]["remaining"] <= 300


def test_who_looks_at_a_floor_plan_is_counted(start):
    with start() as gateway:
        found(gateway)
        with running_node("two_way.mjs", gateway.url) as program:
            people = People(program, u1=["USER"], u2=["USER"])
            people.call("u1", "subscribe", "restaurant:r1:tables", {"presence": True})
            people.until("u1", viewers=1)
            people.call("u2", "subscribe", "restaurant:r1:tables", {"presence": True})
            people.until("u2", viewers=2)
            people.until("u1", viewers=2)


def test_reservation_is_acknowledged(start):
    with start() as gateway:
        found(gateway)
        publish(gateway, record("reservations", "created", "b1", restaurantId="r1", userId="u1", tableId="t1"))
        with running_node("two_way.mjs", gateway.url) as program:
            people = People(program, u1=["USER"], o1=["OWNER"])
            people.call("o1", "ack", "b1", as_="ack")
            people.call("u1", "ack", "b1", as_="ack")
            people.until("o1", ack="done")
            people.until("u1", ack="unauthorized")
