"""No private message leaves after the right is gone, and none is missing for who still has it.

The table: who, on which channel, how the right is lost, and what the subscription is doing at that moment. What of it
is void (a channel without a history is never read from disk) follows from the tables of kinds and rights.
"""

from math import inf

import pytest

from mesaya_ws.core.access.channels import KINDS
from mesaya_ws.core.access.rights import RIGHTS, Action, Relation, is_private
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.authenticating import end_identity, on_authenticated
from mesaya_ws.core.session.history import on_history
from mesaya_ws.core.session.identity_changes import end_revoked, run_due
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.subscription import State
from mesaya_ws.core.views.floor_plan import can_conflate
from mesaya_ws.core.wire.messages import Auth
from tests.scenarios.rights import Page, Platform, T, parsed, signed
from tests.support.instance import a_feed, ask, read_on

RESERVATIONS, NOTIFICATIONS = "restaurant:R:reservations", "user:u:notifications"

CHANNELS = {
    "reservations": [RESERVATIONS],
    "notifications": [NOTIFICATIONS],
    "chat": ["restaurant:R:chat:u"],
    "chats": ["restaurant:R:chats", "user:u:chats"],
}
"""The private channels of the restaurant R, which `o` owns, and of its guest `u`, by their kinds."""


def publish(platform, channel, size=100):
    """Have something published on a private channel."""
    if parsed(channel).kind.topics == (CHAT,):
        platform.message("R", "u", size)
    else:
        platform.reservation("R", "u", size)


# What a subscription is doing at that moment


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
    on_history(session.delivery, *platform.read_page(session))
    read_on(session)


def waiting_for_feed(platform, session, channel, position):
    write, platform.write = platform.write, lambda record: None
    publish(platform, channel)
    platform.write = write
    beyond = platform.ahead().position(parsed(channel))
    platform.missing = platform.log.records.pop()
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
READ_FROM_DISK = {State.READING_HISTORY, State.AWAITING_PAGE}


def moments(kind):
    """Return the moments that there are for a kind of channel: what has no history is never read from disk."""
    return [moment for moment in MOMENTS if kind.has_history or moment not in READ_FROM_DISK]


# How a right is lost


def owner_changes(platform, session):
    platform.owner("R", "v")


def restaurant_is_deleted(platform, session):
    platform.delete("R")


def role_is_taken(platform, session):
    platform.roles(session.identity.user, "USER")


def token_expires(platform, session):
    list(run_due(platform.identities, T + 20_000))


def token_is_revoked(platform, session):
    list(end_revoked(platform.identities, [session.identity.user], lambda user, issued: True, T))


def client_signs_out(platform, session):
    end_identity(session, "signed_out", T)


CLIENTS = {Relation.OWNER: signed("o"), Relation.SELF: signed("u"), Relation.ADMIN: signed("a", ["ADMIN"])}
LOSSES = {
    Relation.OWNER: {owner_changes: "rights_changed", restaurant_is_deleted: "rights_changed"},
    Relation.SELF: {},  # who one is does not change
    Relation.ADMIN: {role_is_taken: "rights_changed"},
}
OF_IDENTITY = {token_expires: "token_expired", token_is_revoked: "revoked", client_signs_out: "signed_out"}


def may(client, channel):
    """Return whether a client may see a channel at first, by a reading of its own."""
    page = Page()
    page.owners["R"] = "o"
    return page.may(client, channel)


TABLE = [
    pytest.param(channel, client, lose, reason, moment, id=f"{relation.value}-{channel}-{lose.__name__}-{moment.name}")
    for kind, channels in CHANNELS.items()
    for channel in channels
    for relation, client in CLIENTS.items()
    if may(client, channel)
    for lose, reason in (LOSSES[relation] | OF_IDENTITY).items()
    for moment in moments(KINDS[kind])
]


def private(messages, channel):
    """Return what shows something of a channel."""
    return [each for each in messages if each.get("channel") == channel and "data" in each]


def test_table_has_every_private_channel_every_relation_and_every_moment_that_there_is():
    assert CHANNELS.keys() == {kind for kind in KINDS if is_private(kind)}
    assert MOMENTS.keys() == set(State) - {State.ENDED}
    for kind, channels in CHANNELS.items():
        seen = {relation for relation, client in CLIENTS.items() for name in channels if may(client, name)}
        assert seen == RIGHTS[kind][Action.SUBSCRIBE]
    # What is private is never conflated: of reservations and messages each counts, not only the latest state.
    assert not any(can_conflate(parsed(name)) for channels in CHANNELS.values() for name in channels)


@pytest.mark.parametrize(("channel", "client", "lose", "reason", "moment"), TABLE)
def test_subscription_ends_where_the_right_does_whatever_it_is_doing(channel, client, lose, reason, moment):
    platform = Platform(max_bytes=60_000)
    platform.owner("R", "o")
    other = platform.client(signed("b", ["ADMIN"], until=1e6))
    position = ask(other, channel=channel)[0]["position"]
    for _ in range(3):
        publish(platform, channel, size=30_000 if moment in READ_FROM_DISK else 100)
    session = platform.client(client)
    MOMENTS[moment](platform, session, channel, position)
    assert (moment is State.LIVE) == (not session.delivery.unsettled)
    assert {each.state for each in session.delivery.unsettled} <= {moment}
    session.send_queue.said()
    other.send_queue.said()
    published = platform.feed.window.serial

    lose(platform, session)
    *before, ended = session.send_queue.said()
    # What says so on the channel itself is the last of it.
    last_word = [each["type"] for each in private(before, channel)]
    says_so = lose is restaurant_is_deleted and moment is State.LIVE and channel == RESERVATIONS
    assert last_word == (["restaurant.deleted"] if says_so else [])
    assert (ended["type"], ended["channel"], ended["reason"]) == ("unsubscribed", channel, reason)
    if moment not in (State.SNAPSHOT_DUE, State.RENDERING):
        assert "position" in ended

    # Whatever was under way then, nothing more comes.
    publish(platform, channel)
    if moment is State.WAITING_FOR_FEED:
        platform.look()
    platform.finish(session)
    assert private(session.send_queue.said(), channel) == []
    asked = {"position": ended["position"]} if "position" in ended else {}
    [refused] = ask(session, channel=channel, **asked)
    assert (refused["type"], refused["code"]) == ("error", "unauthorized")
    # And who has the right still has all of it.
    shown = [each["position"] for each in private(other.send_queue.said(), channel)]
    assert len(shown) == len(list(platform.feed.window.after(channel, {}, published)))
    assert len(shown) > 0


@pytest.mark.parametrize("channel", [name for channels in CHANNELS.values() for name in channels])
def test_who_has_lost_the_right_can_do_nothing_there_any_more(channel):
    platform = Platform()
    platform.owner("R", "o")
    for publishing in (RESERVATIONS, "restaurant:R:chat:u"):
        publish(platform, publishing)
    kind = parsed(channel).kind.name
    for relation, client in CLIENTS.items():
        if relation is Relation.SELF or not may(client, channel):
            continue
        session = platform.client(client)
        lose = owner_changes if relation is Relation.OWNER else role_is_taken
        requests = [request for action in RIGHTS[kind] for request in REQUESTS[action](channel)]
        for request in requests:
            assert [each.get("code") for each in ask(session, **request)] in ([], [None])
        session.services.commands.clear()
        lose(platform, session)
        session.send_queue.said()
        for request in requests:
            assert [each["code"] for each in ask(session, **request)] == ["unauthorized"]
        assert session.services.commands == []
        platform.owner("R", "o")


REQUESTS = {
    Action.SUBSCRIBE: lambda channel: [{"kind": "subscribe", "channel": channel}],
    Action.SPEAK: lambda channel: [
        {"kind": "publish", "channel": channel, "messageId": "n", "data": {"text": "!"}},
        {"kind": "history", "channel": channel},
    ],
    Action.BLOCK: lambda channel: [{"kind": "block", "channel": channel, "blocked": True}],
    Action.ACKNOWLEDGE: lambda channel: [{"kind": "reservation.ack", "reservationId": "v1"}],
}
"""What a client sends for each action."""


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
    changed, ended = old.send_queue.said()
    assert (changed["type"], changed["channel"]) == ("restaurant.owner_changed", NOTIFICATIONS)
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


@pytest.mark.parametrize("moment", MOMENTS)
def test_topic_that_is_created_again_ends_subscriptions_whatever_they_are_doing(moment):
    platform = Platform(max_bytes=60_000)
    platform.owner("R", "u")
    position = ask(platform.client(signed("u")), channel=RESERVATIONS)[0]["position"]
    for _ in range(3):
        platform.reservation("R", size=30_000 if moment in READ_FROM_DISK else 100)
    session = platform.client(signed("u"))
    MOMENTS[moment](platform, session, RESERVATIONS, position)
    session.send_queue.said()
    platform.recreate("restaurants")
    ended = [each for each in session.send_queue.said() if each["type"] == "unsubscribed"]
    assert [(each["channel"], each["reason"]) for each in ended] == [(RESERVATIONS, "rights_changed")]
    platform.finish(session)
    assert session.send_queue.said() == []


def a_right_to_be_read(platform):
    """Have another one become the owner by a record that is still to be read; return it, and the position after it."""
    platform.owner("R", "u")
    record = platform.log.says("restaurant.updated", "R", timestamp=platform.now + 500, ownerId="v")
    ahead = platform.ahead().position(parsed(RESERVATIONS))
    platform.look()
    return record, ahead


def test_client_that_is_ahead_of_this_instance_has_the_rights_of_where_it_is():
    platform = Platform()
    record, ahead = a_right_to_be_read(platform)
    new, stranger = platform.client(signed("v")), platform.client(signed("x"))
    for session in (new, stranger):
        assert ask(session, channel=RESERVATIONS, position=ahead) == []
    assert ask(platform.client(), channel=RESERVATIONS, position=ahead)[0]["code"] == "unauthorized"
    platform.write(record)
    for session in (new, stranger):
        list(retry_waiting(session))
    assert [each["type"] for each in new.send_queue.said()] == ["subscribed"]
    [refused] = stranger.send_queue.said()
    assert (refused["type"], refused["code"], refused["channel"]) == ("error", "unauthorized", RESERVATIONS)


def test_right_that_is_still_to_be_read_is_waited_for_whatever_is_asked_again_meanwhile():
    platform = Platform()
    record, ahead = a_right_to_be_read(platform)
    session = platform.client(signed("v"))
    assert ask(session, channel=RESERVATIONS, position=ahead) == []
    on_authenticated(session, Auth(), signed("v", until=20_000), T)
    platform.roles("v", "USER")
    assert [each["type"] for each in session.send_queue.said()] == ["authenticated"]
    platform.write(record)
    list(retry_waiting(session))
    assert [each["type"] for each in session.send_queue.said()] == ["subscribed"]
    platform.owner("R", "u")
    assert [each["reason"] for each in session.send_queue.said()] == ["rights_changed"]


def test_right_that_the_log_takes_and_gives_again_before_it_is_read_is_not_asked_for_meanwhile():
    platform = Platform()
    platform.owner("R", "u")
    platform.feed.progress.live = False  # as at the start, until all has been read
    session = platform.client(signed("u"))
    assert ask(session, channel=RESERVATIONS) == []
    platform.owner("R", "v")
    platform.feed.progress.live = False
    on_authenticated(session, Auth(), signed("u"), T)
    assert [each["type"] for each in session.send_queue.said()] == ["authenticated"]
    platform.owner("R", "u")
    list(retry_waiting(session))
    assert [each["type"] for each in session.send_queue.said()] == ["subscribed"]


class Unchecked:
    """Stands for what is known of positions, where none may be checked."""

    def check(self, *given):
        raise AssertionError("the time of the answer would say whether there is anything")


def test_refusal_of_a_position_does_not_depend_on_what_was_published_on_the_channel():
    platform = Platform()
    platform.owner("R", "u")
    position = platform.feed.position(parsed(RESERVATIONS))
    platform.reservation("R")

    platform.feed.coverage = Unchecked()
    [refused] = ask(platform.client(signed("x")), channel=RESERVATIONS, position=position)
    assert refused["code"] == "unauthorized"


def test_record_that_changes_no_right_asks_nobody():
    platform = Platform()
    platform.owner("R", "u")
    session = platform.client(signed("u"))
    ask(session, channel=RESERVATIONS)
    platform.rights_changes.clear()
    platform.reservation("R")
    platform.owner("R", "u")
    assert platform.rights_changes == []
    platform.owner("R", "v")
    [change] = platform.rights_changes
    assert RESERVATIONS in change.channels


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
    platform.log.feed_into(platform.feed)
    list(retry_waiting(session))
    [said] = session.send_queue.said()
    assert (said["type"], said.get("code")) == answer


@pytest.mark.parametrize("place", ["none", "in the window", "on disk", "lost"])
def test_right_is_asked_for_once_the_log_is_read_wherever_the_client_was(place):
    platform = Platform(max_bytes=60_000)
    platform.owner("R", "u")
    owner, stranger = platform.client(signed("u")), platform.client(signed("x"))
    long_ago = ask(owner, channel=RESERVATIONS)[0]["position"]
    for _ in range(3):
        platform.reservation("R", size=30_000)
    positions = {"in the window": platform.feed.position(parsed(RESERVATIONS)), "on disk": long_ago, "lost": "?"}
    asked = {"position": positions[place]} if place in positions else {}
    owner.send_queue.said()

    platform.feed.progress.live = False  # as at the start, until all has been read
    for session in (owner, stranger):
        assert ask(session, channel=RESERVATIONS, **asked) == []
    platform.feed.progress.live = True
    for session in (owner, stranger):
        list(retry_waiting(session))
    [refused] = stranger.send_queue.said()
    assert (refused["type"], refused["code"]) == ("error", "unauthorized")
    assert (stranger.subscriptions, stranger.delivery.awaits_history) == ({}, False)
    assert owner.delivery.awaits_history == (place == "on disk")
    platform.finish(owner)
    assert owner.send_queue.said()[0]["type"] == "subscribed"


def test_subscription_that_waits_for_the_log_outlasts_a_renewal_and_no_sign_out():
    platform = starting()
    session = platform.client(signed("u"))
    ask(session, channel=RESERVATIONS)
    assert on_authenticated(session, Auth(), signed("u"), T)
    assert [each["type"] for each in session.send_queue.said()] == ["authenticated"]
    assert session.is_waiting_for_feed
    end_identity(session, "signed_out", T)
    assert [each["reason"] for each in session.send_queue.said()] == ["signed_out"]
    platform.log.feed_into(platform.feed)
    list(retry_waiting(session))
    assert session.send_queue.said() == []
