"""No private message leaves after the right is gone, and none is missing for who still has it.

The table: how a right is lost, on which channel, and what the subscription is doing at that moment.
"""

from math import inf

import pytest

from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.authenticating import end_identity, on_authenticated
from mesaya_ws.core.session.subscription import State
from mesaya_ws.core.wire.messages import Auth
from tests.scenarios.rights import Platform, T, parsed, signed
from tests.support.instance import a_feed, ask, read_on

RESERVATIONS, NOTIFICATIONS = "restaurant:R:reservations", "user:u:notifications"


def replaying(platform, session, channel, position):
    session.send_queue.backlogged = True
    ask(session, channel=channel, position=position)


def snapshot_due(platform, session, channel, position):
    session.send_queue.backlogged = True
    ask(session, channel=channel, snapshot=True)


def rendering(platform, session, channel, position):
    ask(session, channel=channel, position=position)
    platform.finish(session)
    session.resync(parsed(channel).kind.topics[0], Unrecoverable.EXPIRED)


def reading_history(platform, session, channel, position):
    # What was published is more than the window takes; the store still has it.
    ask(session, channel=channel, position=position)


def awaiting_page(platform, session, channel, position):
    reading_history(platform, session, channel, position)
    session.delivery.on_history(*platform.read_page(session))
    read_on(session)


def waiting_for_feed(platform, session, channel, position):
    platform.log.says("reservation.created", "ahead", timestamp=platform.now + 500, restaurantId="R", userId="u")
    beyond = platform.ahead().position(parsed(channel))
    missing = platform.log.records.pop()
    platform.missing = missing
    ask(session, channel=channel, position=beyond)


def live(platform, session, channel, position):
    ask(session, channel=channel, position=position)


MOMENTS = {
    State.LIVE: live,
    State.REPLAYING: replaying,
    State.SNAPSHOT_DUE: snapshot_due,
    State.RENDERING: rendering,
    State.READING_HISTORY: reading_history,
    State.AWAITING_PAGE: awaiting_page,
    State.WAITING_FOR_FEED: waiting_for_feed,
}


def owner_changes(platform, session):
    platform.owner("R", "v")


def restaurant_is_deleted(platform, session):
    platform.delete("R")


def role_is_taken(platform, session):
    platform.roles(session.identity.user, "USER")


def token_expires(platform, session):
    list(platform.identities.run(T + 20_000))


def token_is_revoked(platform, session):
    list(platform.identities.revoked([session.identity.user], lambda user, issued: True, T))


def client_signs_out(platform, session):
    end_identity(session, "signed_out", T)


LOSSES = [
    (RESERVATIONS, signed("u"), owner_changes, "rights_changed"),
    (RESERVATIONS, signed("u"), restaurant_is_deleted, "rights_changed"),
    (RESERVATIONS, signed("a", ["ADMIN"]), role_is_taken, "rights_changed"),
    (NOTIFICATIONS, signed("a", ["ADMIN"]), role_is_taken, "rights_changed"),
    *(
        (channel, signed("u"), loss, reason)
        for channel in (RESERVATIONS, NOTIFICATIONS)
        for loss, reason in (
            (token_expires, "token_expired"),
            (token_is_revoked, "revoked"),
            (client_signs_out, "signed_out"),
        )
    ),
]


def private(messages, channel):
    """Return what shows something of a channel."""
    return [each for each in messages if each.get("channel") == channel and "data" in each]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.name.lower())
@pytest.mark.parametrize(
    ("channel", "identity", "lose", "reason"), LOSSES, ids=lambda each: getattr(each, "__name__", None)
)
def test_subscription_ends_where_the_right_does_whatever_it_is_doing(channel, identity, lose, reason, moment):
    platform = Platform(max_bytes=60_000)
    platform.owner("R", "u")
    position = ask(platform.client(signed("u")), channel=channel)[0]["position"]
    for _ in range(3):
        platform.reservation("R", "u", size=30_000 if moment in (State.READING_HISTORY, State.AWAITING_PAGE) else 100)
    session, other = platform.client(identity), platform.client(signed("b", ["ADMIN"], until=1e6))
    ask(other, channel=channel)
    MOMENTS[moment](platform, session, channel, position)
    assert (moment is State.LIVE) == (not session.delivery.unsettled)
    assert {each.state for each in session.delivery.unsettled} <= {moment}
    session.send_queue.said()
    other.send_queue.said()

    lose(platform, session)
    *before, ended = session.send_queue.said()
    # What says so on the channel itself is the last of it.
    last_word = [each["type"] for each in private(before, channel)]
    assert last_word == (["restaurant.deleted"] if lose is restaurant_is_deleted and moment is State.LIVE else [])
    assert (ended["type"], ended["channel"], ended["reason"]) == ("unsubscribed", channel, reason)
    if moment not in (State.SNAPSHOT_DUE, State.RENDERING):
        assert "position" in ended

    # Whatever was under way then, nothing more comes.
    platform.reservation("R", "u")
    if moment is State.WAITING_FOR_FEED:
        platform.look()
    platform.finish(session)
    assert private(session.send_queue.said(), channel) == []
    asked = {"position": ended["position"]} if "position" in ended else {}
    [refused] = ask(session, channel=channel, **asked)
    assert (refused["type"], refused["code"]) == ("error", "unauthorized")
    # And who has the right still has all of it.
    shown = [each["data"].get("reservationId") for each in private(other.send_queue.said(), channel)]
    # (of a restaurant that is deleted, that was the last word)
    assert shown == ([None] if lose is restaurant_is_deleted else ["v4"])


def test_who_gains_the_right_begins_from_that_record_on():
    platform = Platform()
    platform.owner("R", "u")
    session = platform.client(signed("v"))
    assert ask(session, channel=RESERVATIONS)[0]["code"] == "unauthorized"
    platform.owner("R", "v")
    assert ask(session, channel=RESERVATIONS)[0]["type"] == "subscribed"
    platform.reservation("R")
    assert [each["type"] for each in session.send_queue.said()] == ["reservation.created"]


def test_old_and_new_owner_receive_the_change_on_their_own_channels():
    platform = Platform()
    platform.owner("R", "u")
    old = platform.client(signed("u"))
    for channel in (RESERVATIONS, NOTIFICATIONS):
        ask(old, channel=channel)
    platform.owner("R", "v")
    told, ended = old.send_queue.said()
    assert (told["type"], told["channel"]) == ("restaurant.owner_changed", NOTIFICATIONS)
    assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "rights_changed")
    platform.reservation("R", "u")
    assert [each["channel"] for each in old.send_queue.said()] == [NOTIFICATIONS]


def test_record_right_after_the_one_that_takes_the_right_is_not_seen():
    platform = Platform()
    platform.owner("R", "u")
    session = platform.client(signed("u"))
    ask(session, channel=RESERVATIONS)
    said, of_guest = platform.log.says, {"restaurantId": "R", "userId": "g"}
    platform.write(
        said("reservation.created", "before", timestamp=platform.now + 1, **of_guest),
        said("restaurant.updated", "R", timestamp=platform.now + 2, ownerId="v"),
        said("reservation.created", "after", timestamp=platform.now + 3, **of_guest),
    )
    event, ended = session.send_queue.said()
    assert (event["data"]["reservationId"], ended["reason"]) == ("before", "rights_changed")
    # The place is that of the record: what comes after it is missed from there.
    place = platform.feed.cursor.read(ended["position"], parsed(RESERVATIONS))
    assert sorted(place.values()) == [0, 1, 2]


def test_roles_logged_after_the_token_was_issued_count():
    platform = Platform()
    early, late = platform.client(signed("a", ["ADMIN"])), platform.client(signed("a", ["ADMIN"], issued=T + 1000))
    for session in (early, late):
        ask(session, channel=NOTIFICATIONS)
    platform.roles("a", "USER")
    assert [each["reason"] for each in early.send_queue.said()] == ["rights_changed"]
    assert late.send_queue.said() == []
    platform.roles("a", "ADMIN")
    assert ask(early, channel=NOTIFICATIONS)[0]["type"] == "subscribed"


def test_topic_that_is_created_again_takes_the_rights_that_it_gave():
    platform = Platform()
    platform.owner("R", "u")
    session = platform.client(signed("u"))
    for channel in (RESERVATIONS, NOTIFICATIONS):
        ask(session, channel=channel)
    platform.recreate("restaurants")
    ended = [each for each in session.send_queue.said() if each["type"] == "unsubscribed"]
    assert [(each["channel"], each["reason"]) for each in ended] == [(RESERVATIONS, "rights_changed")]


def test_client_that_is_ahead_of_this_instance_has_the_rights_of_where_it_is():
    platform = Platform()
    platform.owner("R", "u")
    record = platform.log.says("restaurant.updated", "R", timestamp=platform.now + 500, ownerId="v")
    ahead = platform.ahead().position(parsed(RESERVATIONS))
    platform.look()
    new, stranger = platform.client(signed("v")), platform.client(signed("x"))
    for session in (new, stranger):
        assert ask(session, channel=RESERVATIONS, position=ahead) == []
    assert ask(platform.client(), channel=RESERVATIONS, position=ahead)[0]["code"] == "unauthorized"
    platform.write(record)
    for session in (new, stranger):
        list(session.retry_waiting())
    assert [each["type"] for each in new.send_queue.said()] == ["subscribed"]
    [refused] = stranger.send_queue.said()
    assert (refused["type"], refused["code"], refused["channel"]) == ("error", "unauthorized", RESERVATIONS)


def test_refusal_of_a_position_does_not_depend_on_what_was_published_on_the_channel(monkeypatch):
    platform = Platform()
    platform.owner("R", "u")
    position = platform.feed.position(parsed(RESERVATIONS))
    platform.reservation("R")

    def looked(*given):
        raise AssertionError("the time of the answer would say whether there is anything")

    monkeypatch.setattr(type(platform.feed.coverage), "check", looked)
    [refused] = ask(platform.client(signed("x")), channel=RESERVATIONS, position=position)
    assert refused["code"] == "unauthorized"


def test_record_that_changes_no_right_asks_nobody(monkeypatch):
    platform = Platform()
    platform.owner("R", "u")
    session = platform.client(signed("u"))
    ask(session, channel=RESERVATIONS)
    asked = []
    monkeypatch.setattr("mesaya_ws.core.session.identities.ask_again", lambda *given: asked.append(given))
    platform.reservation("R")
    platform.owner("R", "u")
    platform.owner("S", "v")
    assert asked == []
    platform.owner("R", "v")
    assert asked == [(session, RESERVATIONS)]


def starting():
    """Return a platform with an owner, and an instance of it that has still to read that."""
    platform = Platform()
    platform.owner("R", "u")
    platform.feed = a_feed(seconds=inf)
    return platform


@pytest.mark.parametrize(("user", "answer"), [("u", ("subscribed", None)), ("v", ("error", "unauthorized"))])
def test_right_that_the_log_has_still_to_say_is_waited_for(user, answer):
    platform = starting()
    session = platform.client(signed(user))
    assert ask(session, channel=RESERVATIONS) == []
    assert ask(platform.client(), channel=RESERVATIONS)[0]["code"] == "unauthorized"
    platform.log.tell(platform.feed)
    list(session.retry_waiting())
    [said] = session.send_queue.said()
    assert (said["type"], said.get("code")) == answer


def test_subscription_that_waits_for_the_log_outlasts_a_renewal_and_no_sign_out():
    platform = starting()
    session = platform.client(signed("u"))
    ask(session, channel=RESERVATIONS)
    assert on_authenticated(session, Auth(), signed("u"), T)
    assert [each["type"] for each in session.send_queue.said()] == ["authenticated"]
    assert session.is_waiting_for_feed
    end_identity(session, "signed_out", T)
    assert [each["reason"] for each in session.send_queue.said()] == ["signed_out"]
    platform.log.tell(platform.feed)
    list(session.retry_waiting())
    assert session.send_queue.said() == []
