"""Chat as clients see it: what they may write, how they are answered, and what the other side receives."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.interactions.chat_records import ConversationKey, Erased, Said, chat_record
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.session.sender_limits import BURST, UNANSWERED
from tests.core.replicas import Replica, SharedLog, said, settle
from tests.core.replicas import send as ask

CHANNEL, GUESTS, OWNERS = "restaurant:r1:chat:u1", "user:u1:chats", "restaurant:r1:chats"


class Place:
    """A restaurant with its owner and a guest, each on an instance of its own."""

    def __init__(self, auth=True):
        self.log = SharedLog()
        self.log.restaurant("r1", "o1")
        self.log.user("u1", "Ana")
        self.log.user("o1", "Olga")
        self.replicas = [Replica(self.log), Replica(self.log)]
        self.guest = self.replicas[0].client("u1", "USER", auth=auth)
        self.owner = self.replicas[1].client("o1", "OWNER", auth=auth)

    def settle(self):
        settle(self.replicas)

    def publish(self, session, text="Hello", message="m1", channel=CHANNEL, **data):
        ask(session, "publish", channel=channel, messageId=message, data={"text": text, **data}, id=7)

    def later(self, seconds=60.0):
        for replica in self.replicas:
            replica.seconds += seconds


@pytest.fixture
def place():
    return Place()


def answer(session):
    [message] = said(session)
    return message


def code(session):
    message = answer(session)
    assert message["type"] == "error", message
    return message["code"]


def test_message_is_answered_when_it_was_read_back_and_reaches_the_other_side_and_both_inboxes(place):
    ask(place.owner, channel=CHANNEL)
    ask(place.owner, channel=OWNERS)
    said(place.owner)
    place.publish(place.guest, attachments=["https://files.example/menu.pdf"], replyTo="m0")
    place.replicas[0].append()
    assert said(place.guest) == [], "appended is not read back"
    place.settle()
    published = answer(place.guest)
    message, inbox = said(place.owner)
    assert published == {
        "type": "published",
        "id": 7,
        "channel": CHANNEL,
        "messageId": "m1",
        "position": message["position"],
    }
    sent_at = message["timestamp"]
    assert (message["type"], message["channel"]) == ("chat.message", CHANNEL)
    assert message["data"] == {
        "messageId": "m1",
        "restaurantId": "r1",
        "userId": "u1",
        "from": "guest",
        "authorId": "u1",
        "authorName": "Ana",
        "text": "Hello",
        "attachments": ["https://files.example/menu.pdf"],
        "replyTo": "m0",
        "sentAt": sent_at,
    }
    assert (inbox["type"], inbox["channel"]) == ("chat.conversation", OWNERS)
    assert inbox["data"] == {
        "restaurantId": "r1",
        "userId": "u1",
        "restaurantName": "Restaurant r1",
        "guestName": "Ana",
        "last": {"messageId": "m1", "from": "guest", "preview": "Hello", "sentAt": sent_at},
        "unread": 1,
        "blocked": False,
    }


def test_retry_is_answered_with_the_first_position_by_any_instance_and_is_reported_once(place):
    other = place.replicas[1].client("u1")
    ask(place.owner, channel=CHANNEL)
    said(place.owner)
    place.publish(place.guest)
    place.replicas[0].append()
    place.replicas[0].fail()
    place.publish(other)  # while the first one is on its way
    place.settle()
    place.publish(place.guest)  # when it is known
    assert not place.replicas[0].services.commands
    [first, again], [second] = said(place.guest), said(other)
    assert first == again == second
    assert [message["type"] for message in said(place.owner)] == ["chat.message"]


def test_id_that_says_something_else_is_a_conflict_whoever_was_first(place):
    other = place.replicas[1].client("u1")
    place.publish(place.guest)
    place.publish(other, "Something else")
    place.settle()
    assert answer(place.guest)["type"] == "published"
    assert code(other) == "conflict"
    place.publish(place.guest, "Something else")
    assert code(place.guest) == "conflict"


def test_log_that_is_away_is_unavailable_and_the_retry_is_delivered_once(place):
    place.publish(place.guest)
    place.replicas[0].fail()
    assert code(place.guest) == "unavailable"
    place.publish(place.guest)
    place.settle()
    assert answer(place.guest)["type"] == "published"


@pytest.mark.parametrize("auth", [True, False])
def test_client_without_an_identity_or_of_another_conversation_is_unauthorized(auth):
    place = Place(auth)
    for session in (place.replicas[0].client(auth=auth), place.replicas[0].client("u2", auth=auth)):
        for kind, fields in {
            "publish": {"messageId": "m1", "data": {"text": "x"}},
            "edit": {"messageId": "m1", "data": {"text": "x"}},
            "delete": {"messageId": "m1"},
            "read": {"position": "x"},
            "history": {},
            "block": {"blocked": True},
        }.items():
            ask(session, kind, channel=CHANNEL, id=7, **fields)
            refused = answer(session)
            assert (refused["type"], refused["code"], refused["id"]) == ("error", "unauthorized", 7)
            assert refused["message"] == f"The conversation {CHANNEL!r} is not yours."
    ask(place.guest, "block", channel=CHANNEL, blocked=True)
    refused = answer(place.guest)
    assert (refused["code"], refused["message"]) == ("unauthorized", "Only the restaurant can block.")


def test_sender_is_stamped_from_the_identity_and_an_owner_is_the_guest_where_the_channel_bears_the_id(place):
    ask(place.owner, "publish", channel=CHANNEL, messageId="m1", data={"text": "x", "from": "guest"})
    assert code(place.owner) == "bad_message"
    place.publish(place.owner, message="m1")
    place.publish(place.owner, message="m2", channel="restaurant:r1:chat:o1")
    place.settle()
    said(place.owner)
    known = place.replicas[0].feed.known
    sides = {
        key: [message.side for message in known.conversation(key).before(None, 9)]
        for key in (ConversationKey("r1", "u1"), ConversationKey("r1", "o1"))
    }
    assert list(sides.values()) == [["restaurant"], ["guest"]]


@pytest.mark.parametrize(
    ("channel", "expected"),
    [("restaurant:r9:chat:u1", "unknown_restaurant"), ("restaurant:r1:tables", "bad_channel"), ("x", "bad_channel")],
)
def test_message_to_what_is_not_there_is_refused(place, channel, expected):
    place.publish(place.guest, channel=channel)
    assert code(place.guest) == expected


def test_message_to_a_deleted_restaurant_is_refused(place):
    place.log.restaurant("r1", "o1", "deleted")
    place.settle()
    place.publish(place.guest)
    assert code(place.guest) == "unknown_restaurant"


@pytest.mark.parametrize(
    "data",
    [
        {"text": ""},
        {"text": "x" * 4001},
        {"text": "bell\a"},
        {"text": 5},
        {},
        {"text": "x", "attachments": ["https://files.example.evil/x"]},
        {"text": "x", "attachments": ["https://files.example@evil/x"]},
        {"text": "x", "attachments": ["https://u@files.example/x"]},
        {"text": "x", "attachments": ["https://files.example:8443/x"]},
        {"text": "x", "attachments": ["http://files.example/x"]},
        {"text": "x", "attachments": ["https://[files.example/x"]},
        {"text": "x", "attachments": ["https://files.example/x"] * 6},
        {"text": "x", "replyTo": "a b"},
        {"text": "x", "sentAt": "2026"},
    ],
)
def test_message_that_breaks_a_rule_is_not_appended(place, data):
    ask(place.guest, "publish", channel=CHANNEL, messageId="m1", data=data)
    assert code(place.guest) == "bad_message"
    assert not place.replicas[0].services.commands


def test_edit_and_delete_are_the_authors_and_delete_also_the_restaurants(place):
    place.publish(place.guest)
    place.settle()
    ask(place.owner, "edit", channel=CHANNEL, messageId="m1", data={"text": "x"})
    assert code(place.owner) == "not_allowed"
    ask(place.guest, channel=CHANNEL)
    said(place.guest)
    ask(place.guest, "edit", channel=CHANNEL, messageId="m1", data={"text": "Hi"}, id=2)
    place.settle()
    edited, published = said(place.guest)
    assert edited["data"].keys() == {"messageId", "text", "editedAt"}
    assert published == {
        "type": "published",
        "id": 2,
        "channel": CHANNEL,
        "messageId": "m1",
        "position": edited["position"],
    }
    ask(place.owner, "delete", channel=CHANNEL, messageId="m1")
    place.settle()
    assert answer(place.guest)["data"] == {"messageId": "m1", "by": "restaurant"}
    ask(place.guest, "edit", channel=CHANNEL, messageId="m1", data={"text": "x"})
    assert code(place.guest) == "not_found"
    ask(place.guest, "delete", channel=CHANNEL, messageId="none")
    assert code(place.guest) == "not_found"


def test_administrator_deletes_as_such(place):
    place.publish(place.guest)
    place.settle()
    admin = place.replicas[0].client("boss", "ADMIN")
    ask(admin, channel=CHANNEL)
    ask(admin, "delete", channel=CHANNEL, messageId="m1")
    place.settle()
    assert said(admin)[-2]["data"] == {"messageId": "m1", "by": "admin"}


def test_deleted_text_is_gone_from_window_history_snapshot_and_inbox(place):
    secret = "never shown again"
    place.publish(place.guest, secret)
    place.settle()
    position = answer(place.guest)["position"]
    ask(place.guest, "edit", channel=CHANNEL, messageId="m1", data={"text": f"{secret}!"})
    place.settle()
    place.later()
    ask(place.guest, "delete", channel=CHANNEL, messageId="m1")
    place.settle()
    said(place.guest)
    beginning = place.replicas[0].feed.position_at(parse_channel(CHANNEL), Partition(CHAT, 0), 0)
    for channel in (CHANNEL, GUESTS):
        ask(place.guest, channel=channel, snapshot=True)
    ask(place.guest, "history", channel=CHANNEL)
    ask(place.guest, channel=CHANNEL, position=beginning)
    received = said(place.guest)
    assert secret not in orjson.dumps(received).decode()
    assert [each["type"] for each in received[-4:]] == ["subscribed", "chat.message", "chat.edited", "chat.deleted"]
    assert received[-3]["position"] == position
    assert received[-3]["data"]["text"] is None
    window = place.replicas[0].feed.window
    assert window.bytes == sum(len(each.frame) for _, each in window._order)
    assert all(secret.encode() not in each.frame for _, each in window._order)


def test_erased_user_is_forgotten_by_windows_histories_and_snapshots(place):
    place.publish(place.guest, "my secret")
    place.settle()
    place.publish(place.owner, "an answer", "m2")
    place.settle()
    new = chat_record(Erased("u1"), "now")
    place.log.append(new.topic, new.value, new.key)
    place.settle()
    beginning = place.replicas[0].feed.position_at(parse_channel(CHANNEL), Partition(CHAT, 0), 0)
    for client in (place.guest, place.owner):
        said(client)
        for channel in (CHANNEL, GUESTS if client is place.guest else OWNERS):
            ask(client, channel=channel, snapshot=True)
        ask(client, channel=CHANNEL, position=beginning)
        received = orjson.dumps(said(client)).decode()
        assert "my secret" not in received
        assert "Ana" not in received
        assert "deleted user" in received
        assert "an answer" in received
    for replica in place.replicas:
        assert all(
            b"my secret" not in each.frame and b"Ana" not in each.frame for _, each in replica.feed.window._order
        )


def test_marks_move_forward_only_and_are_the_same_for_all_devices_of_a_side(place):
    positions = []
    for number in range(3):
        place.publish(place.guest, message=f"m{number}")
        place.settle()
        positions.append(answer(place.guest)["position"])
    ask(place.owner, channel=OWNERS)
    ask(place.owner, channel=CHANNEL)
    said(place.owner)
    ask(place.owner, "read", channel=CHANNEL, position=positions[1], id=1)
    place.settle()
    inbox, read, published = sorted(said(place.owner), key=lambda each: each["type"])
    assert read["data"] == {"by": "restaurant", "upTo": positions[1]}
    assert inbox["data"]["unread"] == 1
    assert published["position"] == positions[1], "the mark, and not its record: the last message has not been read"
    ask(place.owner, "read", channel=CHANNEL, position=positions[0])
    assert answer(place.owner)["position"] == positions[1], "it is read already"
    place.later(0.5)
    ask(place.owner, "read", channel=CHANNEL, position=positions[2])
    ask(place.owner, "read", channel=CHANNEL, position=positions[2])
    delays = [command.delay for _, command in place.owner.services.commands[-2:]]
    assert [delay.seconds for delay in delays] == [1.5, 1.5], "both are one, at the end of the two seconds"
    assert delays[0] == delays[1]
    place.settle()
    assert said(place.owner)[-1]["position"] == positions[2]
    ask(place.owner, "read", channel=CHANNEL, position="IVYDW96tAitD")
    assert code(place.owner) == "bad_message"


def test_snapshot_and_history_hold_the_messages_as_they_stand_with_no_gap_between(place):
    for number in range(130):
        key = ConversationKey("r1", "u1")
        new = chat_record(Said(key, f"m{number}", "guest", "u1", f"text {number}"), "now")
        place.log.append(new.topic, new.value, new.key)
    place.settle()
    ask(place.guest, channel=CHANNEL, snapshot=True)
    _, snapshot = said(place.guest)
    state = snapshot["data"]
    assert [each["messageId"] for each in state["messages"]] == [f"m{number}" for number in range(80, 130)]
    assert state["read"] == {"guest": None, "restaurant": None}
    assert state["blocked"] is False
    found, before = [], state["before"]
    while before is not None:
        ask(place.guest, "history", channel=CHANNEL, before=before, limit=33)
        page = answer(place.guest)
        found, before = page["messages"] + found, page["before"]
    assert [each["messageId"] for each in found] == [f"m{number}" for number in range(80)]
    ask(place.guest, "history", channel=CHANNEL, limit=0)
    assert code(place.guest) == "bad_message"


def test_history_of_nothing_says_that_this_was_the_beginning(place):
    ask(place.guest, "history", channel=CHANNEL, id=3)
    assert answer(place.guest) == {"type": "history", "id": 3, "channel": CHANNEL, "messages": [], "before": None}


def test_blocked_guest_may_not_write_until_the_restaurant_allows_it_again(place):
    place.publish(place.guest)
    place.settle()
    said(place.guest)
    for blocked in (True, False):
        ask(place.owner, "block", channel=CHANNEL, blocked=blocked)
        place.settle()
        assert answer(place.owner)["type"] == "published"
        for kind, fields in {
            "publish": {"messageId": f"m{blocked}", "data": {"text": "Hello?"}},
            "edit": {"messageId": "m1", "data": {"text": "What else the guest would say"}},
        }.items():
            ask(place.guest, kind, channel=CHANNEL, **fields)
            place.settle()
            if blocked:
                assert code(place.guest) == "not_allowed"
            else:
                assert answer(place.guest)["type"] == "published"


def test_sender_has_a_burst_then_one_a_second_and_sixty_a_minute(place):
    place.publish(place.owner, message="first")
    place.settle()
    sent = 0
    for second in range(70):
        for _ in range(BURST + 1):
            place.publish(place.guest, message=f"m{sent}")
            place.settle()
            message = answer(place.guest)
            if message["type"] == "error":
                assert message["code"] == "rate_limited"
                assert 0 < message["retryIn"] <= 60
                break
            sent += 1
        assert sent >= BURST or second
        if second == 30:
            assert sent <= BURST + 30 + 1
        place.later(1.0)
    assert 60 <= sent <= 75


def test_guest_writes_twenty_messages_before_the_first_answer(place):
    for number in range(UNANSWERED):
        place.publish(place.guest, message=f"m{number}")
        place.settle()
        place.later()
    said(place.guest)
    place.publish(place.guest, message="more")
    assert code(place.guest) == "rate_limited"
    place.publish(place.owner, message="answer")
    place.settle()
    place.publish(place.guest, message="more")
    place.settle()
    assert answer(place.guest)["type"] == "published"


def test_guest_begins_five_conversations_an_hour(place):
    for number in range(2, 8):
        place.log.restaurant(f"r{number}", "o1")
    place.settle()
    for number in range(2, 8):
        place.publish(place.guest, message=f"m{number}", channel=f"restaurant:r{number}:chat:u1")
        place.settle()
        place.later()
    *begun, last = said(place.guest)
    assert {each["type"] for each in begun} == {"published"}
    assert last["code"] == "rate_limited"
    assert last["retryIn"] > 3000


def test_owner_who_sells_the_restaurant_receives_nothing_more_of_its_conversations(place):
    buyer = place.replicas[0].client("o2")
    for channel in (CHANNEL, OWNERS):
        ask(place.owner, channel=channel)
    said(place.owner)
    ask(buyer, channel=CHANNEL)
    assert code(buyer) == "unauthorized"
    place.log.restaurant("r1", "o2", "updated")
    place.settle()
    assert {(each["type"], each["channel"], each["reason"]) for each in said(place.owner)} == {
        ("unsubscribed", CHANNEL, "rights_changed"),
        ("unsubscribed", OWNERS, "rights_changed"),
    }
    ask(buyer, channel=CHANNEL)
    said(buyer)
    place.publish(place.guest)
    place.settle()
    assert said(place.owner) == []
    assert answer(buyer)["data"]["text"] == "Hello"
    place.publish(place.owner, message="m2")
    assert code(place.owner) == "unauthorized"


def test_conversation_whose_first_message_is_still_to_be_read_back_is_begun_once(place):
    """Such as in an outage of the log, when the first message is sent again and again."""
    for number in range(10):
        place.publish(place.guest, message=f"m{number % 2}")
        place.later()
    assert said(place.guest) == []
    place.settle()
    assert {each["type"] for each in said(place.guest)} == {"published"}


def test_inbox_holds_the_latest_conversations_first_and_says_that_there_are_more(place):
    for number in range(60):
        key = ConversationKey("r1", f"g{number}")
        new = chat_record(Said(key, f"m{number}", "guest", key.guest, "x" * 500), "now")
        place.log.append(new.topic, new.value, new.key)
    place.settle()
    ask(place.owner, channel=OWNERS, snapshot=True)
    _, snapshot = said(place.owner)
    state = snapshot["data"]
    assert [each["userId"] for each in state["conversations"]] == [f"g{number}" for number in range(59, 9, -1)]
    assert state["more"] is True
    assert len(state["conversations"][0]["last"]["preview"]) == 120


def test_record_of_another_service_is_a_message_like_any_other_and_poison_is_skipped(place):
    ask(place.guest, channel=CHANNEL)
    said(place.guest)
    place.log.append(CHAT, b'{"event_type": "message", "data": {"restaurantId": "r1"}}', b"r1")
    place.log.append(CHAT, b"\xff", b"r1")
    bot = {
        "event_type": "message",
        "entity_id": "b1",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"restaurantId": "r1", "userId": "u1", "from": "restaurant", "authorId": "bot", "text": "We are open."},
    }
    place.log.append(CHAT, orjson.dumps(bot), b"r1")
    place.settle()
    message = answer(place.guest)
    assert (message["data"]["text"], message["data"]["authorName"]) == ("We are open.", None)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_replicas_that_read_at_any_pace_deliver_every_message_once_in_one_order(data):
    place = Place()
    watchers = [replica.client("o1") for replica in place.replicas]
    for watcher in watchers:
        ask(watcher, channel=CHANNEL)
        said(watcher)
    sent = set()
    for _step in range(data.draw(st.integers(1, 12))):
        replica = data.draw(st.sampled_from(place.replicas))
        id = data.draw(st.sampled_from(["a", "b", "c", "d"]))
        place.later()
        session = replica.client(data.draw(st.sampled_from(["u1", "o1"])))
        place.publish(session, f"by {session.identity.user}", id)
        sent.add(id)
        if data.draw(st.booleans()):
            replica.append()
        if data.draw(st.booleans()):
            data.draw(st.sampled_from(place.replicas)).read(data.draw(st.integers(1, 3)))
    place.settle()
    shown = [
        [each["data"]["messageId"] for each in said(watcher) if each["type"] == "chat.message"] for watcher in watchers
    ]
    assert shown[0] == shown[1]
    assert sorted(shown[0]) == sorted(sent)
    for replica in place.replicas:
        for session in replica.sessions:
            if session not in watchers and session not in (place.guest, place.owner):
                assert {each["type"] for each in said(session)} <= {"published", "error"}


def test_before_the_log_is_read_nobody_knows_whose_restaurant_it_is(place):
    class Unread(Replica):
        def read(self, most=0):
            super().read(most)

    replica = Unread(place.log)
    assert not replica.feed.live
    for user, expected in (("o1", "unavailable"), ("u1", "unavailable"), (None, "unauthorized")):
        session = replica.client(user)
        place.publish(session)
        assert code(session) == expected
