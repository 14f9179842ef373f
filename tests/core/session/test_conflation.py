"""Clients that are behind while the tables of a restaurant change, and what they know in the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import TopicRecreated
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.replay import PAGE_BYTES
from tests.support.instance import NOW, Instance, a_session, ask

CHANNEL, MENU = "restaurant:r1:tables", "restaurant:r1:menu"
DOMAINS = {"restaurant": "restaurants", "section": "sections", "table": "tables", "menu": "menus"}


class Restaurant(Instance):
    """A log about one restaurant, all of it in one order, and an instance that follows it."""

    def __init__(self, max_bytes=1 << 20):
        super().__init__(*(Partition(topic_of(domain), 0) for domain in DOMAINS.values()), max_bytes=max_bytes)
        self.says("section.created", "s1", restaurantId="r1")

    def receives(self, *events):
        """Take several records in one go, so that they are written together."""
        records = []
        for kind, id, data in events:
            entity, _, what = kind.partition(".")
            subtype = {"entity_subtype": entity} if entity == "menu" else {}
            records.append(self.record(Partition(topic_of(DOMAINS[entity]), 0), what, id, data, **subtype))
        self.take(*records)

    def says(self, kind, id, **data):
        self.receives((kind, id, data))

    def table(self, id, status, what="updated", **data):
        self.says(f"table.{what}", id, sectionId="s1", status=status, **data)

    def client(self, *, conflate=True):
        return a_session(self.feed, conflate=conflate)


@pytest.fixture
def restaurant():
    restaurant = Restaurant()
    for table in ("t1", "t2"):
        restaurant.table(table, "free", "created")
    return restaurant


def in_short(messages):
    """Return the events among messages, in short."""
    return [
        (message["type"], message["data"].get("tableId"), message["data"].get("status"))
        for message in messages
        if "." in message["type"]
    ]


def falls_behind(session):
    session.send_queue.backlogged = True


def falls_behind_with_every_write(session):
    """Let nothing be written at once any more; return what would be."""
    offer = session.send_queue.offer

    def offer_and_fall_behind(data, messages):
        offer(data, messages)
        falls_behind(session)

    session.send_queue.offer = offer_and_fall_behind
    return offer


def catches_up(session):
    """Let all be written that waits, and return what came since."""
    session.send_queue.backlogged = False
    session.delivery.resume()
    return session.send_queue.said()


def test_backlogged_client_gets_the_newest_tables_and_is_live_again(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    for status in ("occupied", "free", "blocked"):
        restaurant.table("t1", status)
        restaurant.table("t2", status)
    restaurant.table("t1", "dirty")
    assert session.send_queue.said() == [], "nothing is queued"
    assert in_short(catches_up(session)) == [("table.updated", "t2", "blocked"), ("table.updated", "t1", "dirty")]
    restaurant.table("t2", "free")
    assert in_short(session.send_queue.said()) == [("table.updated", "t2", "free")]


def test_who_keeps_up_gets_everything(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    for status in ("occupied", "free"):
        restaurant.table("t1", status)
    assert in_short(session.send_queue.said()) == [("table.updated", "t1", "occupied"), ("table.updated", "t1", "free")]


def test_nothing_is_conflated_without_the_setting(restaurant):
    session = restaurant.client(conflate=False)
    ask(session, channel=CHANNEL)
    falls_behind(session)
    for status in ("occupied", "free"):
        restaurant.table("t1", status)
    assert len(in_short(session.send_queue.said())) == 2, "it is the send queue that queues"


def test_other_channels_are_not_conflated(restaurant):
    session = restaurant.client()
    ask(session, channel=MENU)
    falls_behind(session)
    for name in ("Lunch", "Dinner"):
        restaurant.says("menu.updated", "m1", restaurantId="r1", name=name)
    assert [message["data"]["name"] for message in session.send_queue.said()] == ["Lunch", "Dinner"]


def test_what_is_no_mere_state_comes_in_its_order(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    restaurant.table("t1", "occupied")
    restaurant.table("t3", "free", "created")
    restaurant.table("t3", "occupied")
    restaurant.says("section.updated", "s1", restaurantId="r1", name="Terraza")
    restaurant.table("t3", "blocked")
    restaurant.says("table.deleted", "t1")
    restaurant.table("t1", "free", "created")
    restaurant.says("restaurant.deleted", "r1")
    assert in_short(catches_up(session)) == [
        ("table.updated", "t1", "occupied"),
        ("table.created", "t3", "free"),
        ("section.updated", None, None),
        ("table.updated", "t3", "blocked"),
        ("table.deleted", "t1", "occupied"),
        ("table.created", "t1", "free"),
        ("restaurant.deleted", None, None),
    ]


def test_event_being_written_when_the_backlog_begins_is_sent_once(restaurant):
    session, other = restaurant.client(), restaurant.client()
    for client in (session, other):
        ask(client, channel=CHANNEL)
    offer = falls_behind_with_every_write(session)
    restaurant.receives(("table.updated", "t1", {"status": "a"}), ("table.updated", "t2", {"status": "a"}))
    session.send_queue.offer = offer
    restaurant.receives(("table.updated", "t1", {"status": "b"}), ("table.updated", "t1", {"status": "c"}))
    restaurant.table("t2", "b")
    assert in_short(session.send_queue.said()) == [("table.updated", "t1", "a"), ("table.updated", "t2", "a")]
    assert in_short(catches_up(session)) == [("table.updated", "t1", "c"), ("table.updated", "t2", "b")]
    assert len(in_short(other.send_queue.said())) == 5


def test_catching_up_while_others_are_still_being_written_to(restaurant):
    # A fan-out lets others run on its way: here, the client catches up before it would have been offered the frames.
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    restaurant.table("t1", "a")
    hub = restaurant.feed.hub
    restaurant.feed.hub = quiet = Hub()
    quiet.publish = hub.publish
    restaurant.table("t1", "b")
    steps = hub.fan_out()
    assert in_short(catches_up(session)) == [("table.updated", "t1", "b")]
    list(steps)
    assert session.send_queue.said() == []


def test_conflated_replay_that_breaks_off_misses_nothing(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    for status in ("occupied", "free", "blocked"):
        restaurant.table("t1", status)
        restaurant.table("t2", status)
    first, _ = catches_up(session)
    session.leave()
    restaurant.table("t2", "free")
    answer, *missed = ask(restaurant.client(), channel=CHANNEL, position=first["position"])
    assert answer["recovered"] is True, answer
    assert in_short(missed) == [("table.updated", "t2", "blocked"), ("table.updated", "t2", "free")]


def test_client_that_leaves_while_conflated_receives_nothing_more(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    restaurant.table("t1", "occupied")
    assert ask(session, "unsubscribe", channel=CHANNEL)[0]["type"] == "unsubscribed"
    assert catches_up(session) == []
    ask(session, channel=CHANNEL)
    restaurant.table("t1", "free")
    assert in_short(session.send_queue.said()) == [("table.updated", "t1", "free")]
    session.leave()
    assert (restaurant.feed.hub.channels, restaurant.feed.hub.subscriptions) == (0, 0)


def test_pong_has_no_position_of_a_conflated_channel(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    restaurant.table("t1", "occupied")
    [pong] = ask(session, "ping")
    assert pong["positions"] == {}
    catches_up(session)
    [pong] = ask(session, "ping")
    assert list(pong["positions"]) == [CHANNEL]


# The window moves on


def test_evicted_client_gets_the_snapshot_and_the_reason():
    restaurant = Restaurant(max_bytes=1000)
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    for number in range(20):
        restaurant.table("t1", f"status-{number}")
    [snapshot] = catches_up(session)
    assert (snapshot["type"], snapshot["channel"], snapshot["recovered"], snapshot["reason"]) == (
        "snapshot",
        CHANNEL,
        False,
        "expired",
    )
    assert [table["status"] for table in snapshot["data"]["tables"]] == ["status-19"]
    restaurant.table("t1", "free")
    assert in_short(session.send_queue.said()) == [("table.updated", "t1", "free")]
    answer, *missed = ask(restaurant.client(), channel=CHANNEL, position=snapshot["position"])
    assert (answer["recovered"], in_short(missed)) == (True, [("table.updated", "t1", "free")])


def test_a_resume_that_is_overtaken_goes_on_from_the_state_too():
    restaurant = Restaurant(max_bytes=1000)
    session = restaurant.client()
    start = ask(restaurant.client(), channel=CHANNEL)[0]["position"]
    restaurant.table("t1", "occupied")
    falls_behind(session)
    [answer] = ask(session, channel=CHANNEL, position=start)
    assert answer["recovered"] is True, answer
    for number in range(20):
        restaurant.table("t1", f"status-{number}")
    [snapshot] = catches_up(session)
    assert (snapshot["type"], snapshot["recovered"]) == ("snapshot", False), snapshot


def test_a_topic_that_is_created_again_meanwhile_is_no_gap_unsaid(restaurant):
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    restaurant.table("t1", "occupied")
    restaurant.feed.ingest(TopicRecreated(topic_of("tables"), "another"), NOW)
    list(restaurant.feed.process(NOW))
    assert [(message["type"], message["recovered"]) for message in catches_up(session)] == [("snapshot", False)]


# Pages


def test_long_conflated_replay_comes_in_pages():
    restaurant = Restaurant(max_bytes=100 * PAGE_BYTES)
    session = restaurant.client()
    ask(session, channel=CHANNEL)
    falls_behind(session)
    for number in range(30):
        restaurant.table(f"t{number}", "x" * (PAGE_BYTES // 10))
        restaurant.table("t0", f"{number}")
    falls_behind_with_every_write(session)
    pages = [in_short(catches_up(session))]
    while pages[-1]:
        if len(pages) == 1:
            restaurant.table("t0", "after the first page")
        pages.append(in_short(catches_up(session)))
    assert len(pages) > 3
    received = [event for page in pages for event in page]
    assert [table for _, table, _ in received] == [*(f"t{number}" for number in range(1, 30)), "t0"]
    assert received[-1][2] == "after the first page"


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["created", "updated", "updated", "deleted"]), st.sampled_from(["t1", "t2", "t3"])),
        st.sampled_from(["section.updated", "behind", "up", "break"]),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_conflating_client_always_ends_with_the_state(actions):
    restaurant = Restaurant()
    watcher, session = restaurant.client(conflate=False), restaurant.client()
    for client in (watcher, session):
        ask(client, channel=CHANNEL, snapshot=True)
    everything, received = [], []
    for number, action in enumerate(actions):
        match action:
            case "behind":
                falls_behind(session)
            case "up":
                received += catches_up(session)
            case "break":
                # What was received last decides where it goes on.
                place = received[-1]["position"] if received else everything[0]["position"] if everything else None
                if received:
                    session.leave()
                    session = restaurant.client()
                    received += ask(session, channel=CHANNEL, position=place)[1:]
            case "section.updated":
                restaurant.says(action, "s1", restaurantId="r1", name=str(number))
            case what, table:
                restaurant.table(table, str(number), what)
        everything += watcher.send_queue.said()
        received += session.send_queue.said()
    received += catches_up(session)
    assert state_after(received) == state_after(everything)
    # In order, no one twice, and only states are left out.
    assert in_order(received, everything)
    needed = [message for message in everything if message["type"] != "table.updated"]
    assert in_order(needed, received)


def state_after(messages):
    tables = {}
    for message in messages:
        if message["type"] == "table.deleted":
            tables.pop(message["data"]["tableId"], None)
        elif message["type"].startswith("table."):
            tables[message["data"]["tableId"]] = message["data"]
    return tables


def in_order(part, whole):
    """Return whether `whole` without some of its items is `part`."""
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)
