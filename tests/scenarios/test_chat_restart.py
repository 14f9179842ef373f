"""Chat on instances that have begun from a state store, a checkpoint or the log's beginning: all show the same."""

import pytest

from mesaya_ws.core.interactions.chat_records import ConversationKey, Erased, Said, chat_record
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.events import EpochsBegun, Records
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.state.memory import MemoryState
from tests.core.replicas import Replica, SharedLog, said, settle
from tests.core.replicas import send as ask
from tests.support.instance import a_feed, commit, resume

CHANNEL = "restaurant:r1:chat:u1"
GUESTS = ("u1", "u2", "u3")


def with_a_store():
    return a_feed(retention=Retention(1e6, 1 << 30))


class Place:
    """A restaurant, whose instance commits to a store."""

    def __init__(self):
        self.log, self.store = SharedLog(), MemoryState()
        self.log.restaurant("r1", "o1")
        self.replica = Replica(self.log, with_a_store())
        self.owner = self.replica.client("o1", "OWNER")
        self.guests = {guest: self.replica.client(guest, "USER") for guest in GUESTS}

    def write(self, guest, kind="publish", **fields):
        session = self.owner if guest == "o1" else self.guests[guest]
        channel = CHANNEL if guest == "o1" else f"restaurant:r1:chat:{guest}"
        ask(session, kind, channel=channel, **fields)
        settle([self.replica])
        self.replica.seconds += 2
        return said(session)[0]

    def commit(self):
        """Commit, and return where the log is to be read on from."""
        commit(self.replica.feed, self.store)
        return self.replica.place

    def restart(self, place):
        feed = with_a_store()
        resume(feed, self.store)
        return Replica(self.log, feed, place=place)


def shown(replica):
    """Return all that clients can be shown of chat."""
    owner, found = replica.client("o1", "OWNER"), []
    for guest in GUESTS:
        session = replica.client(guest, "USER")
        for channel in (f"restaurant:r1:chat:{guest}", f"user:{guest}:chats"):
            ask(session, channel=channel, snapshot=True)
        before, pages = None, []
        while before or not pages:
            ask(session, "history", channel=f"restaurant:r1:chat:{guest}", limit=2, before=before)
            *snapshots, page = said(session)
            found += snapshots
            before = page["before"]
            pages.append(page)
        found += pages
    ask(owner, channel="restaurant:r1:chats", snapshot=True)
    return found + said(owner)


@pytest.fixture
def place():
    return Place()


def test_chat_is_the_same_after_a_restart_with_the_store_wherever_that_stands(place):
    texts = [place.write(guest, messageId=f"m{n}", data={"text": f"{guest} {n}"}) for n in range(3) for guest in GUESTS]
    first = place.commit()
    place.write("o1", messageId="a1", data={"text": "Welcome"})
    place.write("u1", "read", position=texts[0]["position"])
    second = place.commit()
    place.write("u1", "edit", messageId="m1", data={"text": "edited"})
    place.write("o1", "delete", messageId="m2")
    place.write("o1", "block", blocked=True)
    whole = shown(Replica(place.log))
    assert shown(place.replica) == whole
    assert shown(place.restart(second)) == whole
    place.commit()
    assert shown(place.restart(place.replica.place)) == whole
    assert first < second
    again = place.restart(place.replica.place)
    guest = again.client("u1", "USER")
    ask(guest, "publish", channel=CHANNEL, messageId="m0", data={"text": "u1 0"})
    assert said(guest)[0]["position"] == texts[0]["position"], "a retry is known from the store"
    assert not again.services.commands


def test_places_of_several_leaders_terms_are_written_the_same_after_a_restart(place):
    """Clients find a read mark among messages by its text."""
    texts = []
    for epoch in (3, 4):
        begins = [(Partition(CHAT, 0), place.log.ends[CHAT], epoch)]
        place.replica.feed.ingest(EpochsBegun(begins), place.log.now)
        texts += [place.write("u1", messageId=f"m{epoch}-{n}", data={"text": "Hello"}) for n in range(2)]
    place.write("o1", "read", position=texts[1]["position"])
    again = place.restart(place.commit())
    for _ in range(2):
        assert shown(again) == shown(place.replica)
        guest = again.client("u1", "USER")
        for said_first in texts:
            ask(guest, "publish", channel=CHANNEL, messageId=said_first["messageId"], data={"text": "Hello"})
            assert said(guest)[0]["position"] == said_first["position"]
        commit(again.feed, place.store)
        again = place.restart(again.place)


@pytest.mark.parametrize("committed", [True, False])
def test_text_that_was_deleted_or_erased_is_in_no_answer_and_in_no_later_store(place, committed):
    place.write("u1", messageId="m1", data={"text": "first secret"})
    place.write("u2", messageId="m2", data={"text": "second secret"})
    at = place.commit()
    place.write("u1", "delete", messageId="m1")
    new = chat_record(Erased("u2"), "2026-01-01T00:00:00.000Z")
    place.log.append(new.topic, new.value, new.key)
    place.replica.read()
    if committed:
        at = place.commit()
        assert not [value for _, value in place.store.rows("chat/message") if b"secret" in value]
    for replica in (place.replica, place.restart(at), Replica(place.log)):
        assert "secret" not in str(shown(replica))


@pytest.mark.parametrize("committed", ["before", "after"])
@pytest.mark.parametrize("author", ["u1", "o1"])
def test_text_of_an_erased_user_of_either_side_is_not_sent_again_to_who_comes_back(place, author, committed):
    """Also with the edit of a message, and in inboxes: after a restart, as without one."""
    guest, owner = ("u1", "USER"), ("o1", "OWNER")
    asked = [(guest, CHANNEL), (owner, CHANNEL), (guest, "user:u1:chats"), (owner, "restaurant:r1:chats")]

    def answers(replica, **fields):
        for (who, channel), position in zip(asked, places or [None] * len(asked), strict=True):
            session = replica.client(*who)
            ask(session, channel=channel, **fields, **({"position": position} if position else {}))
            yield said(session)

    places = []
    place.write("u1", messageId="m0", data={"text": "Hello"})
    places = [each[0]["position"] for each in answers(place.replica, snapshot=True)]
    place.write(author, messageId="m1", data={"text": "the secret"})
    place.write(author, "edit", messageId="m1", data={"text": "another secret"})
    other = "o1" if author == "u1" else "u1"
    place.write(other, messageId="m2", data={"text": "an answer"})
    at = place.commit()
    new = chat_record(Erased(author), "2026-01-01T00:00:00.000Z")
    place.log.append(new.topic, new.value, new.key)
    place.replica.read()
    if committed != "before":
        at = place.commit()
    for replica in (place.replica, place.restart(at), Replica(place.log)):
        sent = list(answers(replica))
        assert all(len(each) > 3 and each[0]["type"] == "subscribed" for each in sent), "it resumes"
        assert "secret" not in str(sent)
        assert "an answer" in str(sent)


def test_name_of_an_erased_guest_does_not_come_back_with_what_the_restaurant_writes(place):
    def names(replica):
        owner = replica.client("o1", "OWNER")
        ask(owner, channel="restaurant:r1:chats", snapshot=True)
        return [each["guestName"] for each in said(owner)[1]["data"]["conversations"]]

    def everywhere():
        return [names(each) for each in (place.replica, place.restart(place.commit()), Replica(place.log))]

    place.log.user("u1", "Ana")
    place.write("u1", messageId="m0", data={"text": "Hello"})
    assert everywhere() == [["Ana"]] * 3
    new = chat_record(Erased("u1"), "2026-01-01T00:00:00.000Z")
    place.log.append(new.topic, new.value, new.key)
    place.write("o1", messageId="m1", data={"text": "Are you there?"})
    assert everywhere() == [["deleted user"]] * 3
    place.write("u1", messageId="m2", data={"text": "As somebody new"})
    place.write("o1", messageId="m3", data={"text": "Welcome"})
    assert everywhere() == [["Ana"]] * 3


def test_chat_is_read_from_its_topic_by_who_starts_from_a_checkpoint(place):
    for number in range(3):
        place.write("u1", messageId=f"m{number}", data={"text": "Hello"})
    cut, pieces = place.replica.feed.persistent.capture()
    rows = [row for piece in pieces for row in piece]
    assert not [row for row in rows if row[0].startswith("chat")]
    assert not [at for at in cut.places if at.topic == CHAT]
    feed = a_feed()
    list(feed.persistent.restore(cut, [rows]))
    here = [record for record in place.log.records if record.topic == CHAT]
    feed.ingest(place.replica._metadata(), place.log.now)
    feed.ingest(Records(None, here, 0), place.log.now)
    restored = Replica(place.log, feed, place=len(place.log.records))
    assert shown(restored) == shown(Replica(place.log))


def test_inbox_of_many_conversations_shows_the_latest_ones_in_the_order_of_their_records(place):
    for number in range(120):
        guest = f"g{number % 60}"
        new = chat_record(Said(ConversationKey("r1", guest), f"m{number}", "guest", guest, "Hello"), "")
        place.log.append(new.topic, new.value, new.key)
        if number in (50, 100):
            place.replica.read()
            place.commit()
    place.replica.read()
    latest = [f"g{number % 60}" for number in range(119, 69, -1)]
    for replica in (place.replica, place.restart(place.replica.place - 19), Replica(place.log)):
        owner = replica.client("o1", "OWNER")
        ask(owner, channel="restaurant:r1:chats", snapshot=True)
        inbox = said(owner)[1]["data"]
        assert [each["userId"] for each in inbox["conversations"]] == latest
        assert [each["unread"] for each in inbox["conversations"]] == [2] * 50
        assert inbox["more"]


def answers_to(replica, user, kind="publish", **fields):
    """Return what a user is answered who sends something on the conversation; None: it is appended."""
    session = replica.client(user, auth=False) if user is None else replica.client(user)
    ask(session, kind, **{"channel": CHANNEL, "messageId": "new", "data": {"text": "Hello"}} | fields)
    appended, replica.services.commands[:] = list(replica.services.commands), []
    answered = said(session)
    assert len(appended) + len(answered) == 1
    return None if appended else answered[0].get("code", answered[0]["type"])


@pytest.mark.parametrize("committed", [True, False])
def test_who_may_write_is_the_same_after_a_restart(place, committed):
    place.write("u1", messageId="m1", data={"text": "Hello"})
    place.write("o1", "block", blocked=True)
    at = place.commit()
    place.log.restaurant("r1", "o2", "updated")
    place.replica.read()
    if committed:
        at = place.commit()
    again = {"messageId": "m1", "data": {"text": "Hello"}}
    for replica in (place.replica, place.restart(at), Replica(place.log)):
        assert answers_to(replica, "u1") == "not_allowed", "blocked stays"
        assert answers_to(replica, "u1", **again) == "published", "it is a retry"
        assert answers_to(replica, "o1") == "unauthorized", "the restaurant has been sold"
        assert answers_to(replica, "o2") is None
        assert answers_to(replica, None) == "unauthorized", "also without a need to sign in"
    place.log.restaurant("r1", "o2", "deleted")
    place.replica.read()
    if committed:
        at = place.commit()
    for replica in (place.replica, place.restart(at), Replica(place.log)):
        assert answers_to(replica, "u2", channel="restaurant:r1:chat:u2") == "unknown_restaurant"
        assert answers_to(replica, "u1", **again) == "published"
        assert [each["text"] for each in shown_to(replica, "u1", CHANNEL)["messages"]] == ["Hello"], "it stays open"


def shown_to(replica, user, channel):
    session = replica.client(user)
    ask(session, channel=channel, snapshot=True)
    return said(session)[1]["data"]


@pytest.mark.parametrize("committed", [True, False])
def test_marks_of_both_sides_and_what_is_unread_in_both_inboxes_are_the_same_after_a_restart(place, committed):
    texts = [place.write("u1", messageId=f"m{number}", data={"text": "Hello"})["position"] for number in range(4)]
    answer = place.write("o1", messageId="a0", data={"text": "Welcome"})["position"]
    place.write("o1", messageId="a1", data={"text": "And?"})
    place.write("o1", "read", position=texts[1])
    at = place.commit()
    place.write("u1", "read", position=answer)
    place.write("o1", "delete", messageId="m3")
    if committed:
        at = place.commit()
    for replica in (place.replica, place.restart(at), Replica(place.log)):
        assert shown_to(replica, "o1", CHANNEL)["read"] == {"guest": answer, "restaurant": texts[1]}
        inboxes = ("u1", "user:u1:chats"), ("o1", "restaurant:r1:chats")
        assert [shown_to(replica, *inbox)["conversations"][0]["unread"] for inbox in inboxes] == [1, 1]
        device = replica.client("o1")
        ask(device, "read", channel=CHANNEL, position=texts[0])
        assert said(device)[0]["position"] == texts[1], "a mark never goes back"
