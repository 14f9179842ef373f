"""Who sessions are: signing in, renewing, the end of tokens, and what ends with them."""

import orjson
import pytest

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.session.authenticating import end_identity, identify, on_authenticated
from mesaya_ws.core.session.identity_changes import end_revoked, run_due
from mesaya_ws.core.session.step_budget import VISITED_AT_ONCE
from mesaya_ws.core.wire import codes
from tests.support.instance import CHANNEL, World, ask, session_identities

OWN = "user:u1:notifications"
T = 1_800_000_000.0


class Draw:
    """Draws the number that a test says, from the beginning (0) to the end (1)."""

    def __init__(self, at=0.5):
        self.at = at

    def __call__(self, first, last):
        return first + self.at * (last - first)


def world(at=0.5, **rules):
    return World(identities=session_identities(Draw(at), **rules))


def sign_in(session, result, now=T, **fields):
    """Have a client send `auth`, and find that it is `result`."""
    assert ask(session, "auth", id="a", **({"token": "x"} | fields)) == []
    asking, message = session.services.authenticating.pop()
    assert asking is session
    on_authenticated(session, message, result, now)
    return session.send_queue.said()


def run(world, now):
    for _ in run_due(world.identities, now):
        pass


def user(until=100.0, name="u1", roles=(), issued=T):
    return Identity(name, roles, issued, T + until)


def test_client_that_signs_in_receives_its_identity_and_sees_its_own():
    session = world().client()
    assert ask(session, channel=OWN)[0]["code"] == "unauthorized"
    [answer] = sign_in(session, user(99.5, roles=("OWNER",)))
    assert answer == {"type": "authenticated", "id": "a", "user": "u1", "roles": ["OWNER"], "expiresIn": 99}
    assert ask(session, channel=OWN)[0]["type"] == "subscribed"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (BadToken(Flaw.EXPIRED), "bad_token"),
        (Unavailable.KEYS, "unavailable"),
        (user(name="u2"), "other_user"),
    ],
)
def test_token_that_is_not_taken_changes_nothing(result, code):
    session = world().client()
    sign_in(session, user())
    ask(session, channel=OWN)
    [answer] = sign_in(session, result)
    assert (answer["type"], answer["code"], answer["id"]) == ("error", code, "a")
    assert session.identity == user()
    assert ask(session, "unsubscribe", channel=OWN)[0] == {"type": "unsubscribed", "channel": OWN}


@pytest.mark.parametrize(
    ("auth", "fields"),
    [
        (True, {}),
        (True, {"token": 1}),
        (True, {"roles": []}),
        (True, {"user": "u1"}),
        (True, {"token": "x", "user": "u1"}),
        (True, {"token": "x", "roles": ["ADMIN"]}),
        (False, {"user": "u 1"}),
        (False, {"user": ""}),
        (False, {"roles": ["ADMIN"]}),
        (False, {"user": "u1", "roles": "ADMIN"}),
        (False, {"user": "u1", "roles": [1]}),
        (False, {"user": "u1", "token": "x"}),
    ],
)
def test_auth_of_another_shape_is_a_bad_message(auth, fields):
    session = world().client(auth=auth)
    [answer] = ask(session, "auth", id="a", **fields)
    assert (answer["type"], answer["code"], answer["id"]) == ("error", "bad_message", "a")
    assert session.services.authenticating == []


def test_empty_text_is_a_token_that_is_there():
    session = world().client()
    assert ask(session, "auth", token="") == []
    assert [message.token for _, message in session.services.authenticating] == [""]


def test_client_says_itself_who_it_is_where_auth_is_off():
    session = world().client(auth=False)
    ask(session, "auth", user="u1", roles=["ADMIN"])
    [(_, message)] = session.services.authenticating
    assert (message.user, message.roles) == ("u1", ["ADMIN"])


def test_token_stands_in_no_description_of_the_message():
    session = world().client()
    ask(session, "auth", token="canary")
    assert "canary" not in repr(session.services.authenticating)


def test_client_that_signs_out_keeps_what_is_public():
    place = world()
    session = place.client()
    sign_in(session, user())
    ask(session, channel=OWN)
    ask(session, channel=CHANNEL)
    answer, ended = sign_in(session, None, token=None)
    assert answer == {"type": "authenticated", "id": "a", "roles": []}
    assert (ended["channel"], ended["reason"]) == (OWN, "signed_out")
    assert ended["position"]
    assert (place.identities.directory.users, len(place.identities.deadlines)) == (0, 0)
    assert ask(session, "unsubscribe", channel=CHANNEL)[0]["type"] == "unsubscribed"
    assert sign_in(session, user(name="u2"))[0]["user"] == "u2"


def test_renewed_token_with_fewer_roles_ends_what_they_opened():
    session = world().client()
    sign_in(session, user(roles=("ADMIN",)))
    ask(session, channel="user:u2:notifications")
    ask(session, channel=OWN)
    answer, ended = sign_in(session, user(200))
    assert answer["expiresIn"] == 200
    assert (ended["channel"], ended["reason"]) == ("user:u2:notifications", "rights_changed")


@pytest.mark.parametrize(("at", "before"), [(0, 30), (1, 90)])
def test_end_of_a_token_is_announced_and_then_the_identity_ends(at, before):
    place = world(at)
    session = place.client()
    sign_in(session, user(300))
    ask(session, channel=OWN)
    ask(session, channel=CHANNEL)
    run(place, T + 299 - before)
    assert session.send_queue.said() == []
    run(place, T + 300 - before)
    assert session.send_queue.said() == [{"type": "token_expiring", "expiresIn": before}]
    run(place, T + 304.9)
    assert session.send_queue.said() == []
    run(place, T + 305)
    [ended] = session.send_queue.said()
    assert (ended["type"], ended["channel"], ended["reason"]) == ("unsubscribed", OWN, "token_expired")
    # Neither the public channel nor the connection ends; a later token goes on from the position.
    place.review(1)
    assert [each["type"] for each in session.send_queue.said()] == ["review.created"]
    sign_in(session, user(900), T + 400)
    [again] = ask(session, channel=OWN, position=ended["position"])
    assert (again["recovered"], again["replayed"]) == (True, 0)


def test_end_of_a_token_is_announced_at_once_where_less_is_left():
    place = world()
    session = place.client()
    sign_in(session, user(20))
    run(place, T)
    assert session.send_queue.said() == [{"type": "token_expiring", "expiresIn": 20}]


def test_token_in_its_leeway_counts_to_the_end_of_that_and_is_announced_no_more():
    place = world()
    session = place.client()
    sign_in(session, user(-2))
    ask(session, channel=OWN)
    for now in (T, T + 2.9):
        run(place, now)
        assert (session.send_queue.said(), session.identity) == ([], user(-2))
    run(place, T + 3)
    [ended] = session.send_queue.said()
    assert (ended["channel"], ended["reason"], session.identity) == (OWN, "token_expired", None)


def test_renewed_token_counts_to_its_own_end():
    place = world(1)
    session = place.client()
    sign_in(session, user(300))
    sign_in(session, user(900), T + 250)
    run(place, T + 800)
    assert session.send_queue.said() == []
    # And to an earlier end, if it has one.
    sign_in(session, user(850), T + 800)
    run(place, T + 856)
    assert session.identity is None


def test_token_without_an_end_never_ends():
    place = world()
    sign_in(place.client(), Identity("u1"))
    assert len(place.identities.deadlines) == 0


def test_who_must_have_an_identity_is_closed_in_time_without_one():
    place = world(1, required=True, patience=10)
    late, signed = place.client(), place.client()
    for each in (late, signed):
        place.identities.connected(each, T)
    sign_in(signed, user(50))
    run(place, T + 9.9)
    assert late.send_queue.closed is None
    run(place, T + 10)
    assert (late.send_queue.closed, signed.send_queue.closed) == (codes.UNAUTHENTICATED, None)
    # Who loses it is closed, too, within five seconds, each at another time.
    run(place, T + 55)
    assert (signed.identity, signed.send_queue.closed) == (None, None)
    run(place, T + 59.9)
    assert signed.send_queue.closed is None
    run(place, T + 60)
    assert signed.send_queue.closed is codes.UNAUTHENTICATED


def test_who_signs_in_again_in_time_is_not_closed():
    place = world(1, required=True)
    session = place.client()
    sign_in(session, user(50))
    run(place, T + 55)
    sign_in(session, user(900), T + 56)
    run(place, T + 70)
    assert session.send_queue.closed is None


def test_newest_of_too_many_of_a_user_is_closed_whichever_way_they_came():
    place = world(max_per_user=2)
    first, second, third = (place.client() for _ in range(3))
    assert identify(first, user(), T)
    sign_in(second, user())
    sign_in(second, user(200))  # renewed: no other one
    assert sign_in(third, user()) == []
    assert (third.send_queue.closed, third.identity) == (codes.TOO_MANY_CONNECTIONS, None)
    assert not identify(place.client(), user(), T)
    first.leave()
    assert identify(place.client(), user(), T)


def test_session_that_has_left_is_known_nowhere():
    place = world(required=True)
    session = place.client()
    place.identities.connected(session, T)
    sign_in(session, user())
    ask(session, channel=OWN)
    directory = place.identities.directory
    assert (directory.users, directory.channels, len(place.identities.deadlines)) == (1, 1, 1)
    session.leave()
    assert (directory.users, directory.channels, len(place.identities.deadlines)) == (0, 0, 0)


def test_public_channels_take_no_room_in_the_directory():
    place = world()
    ask(place.client(), channel=CHANNEL)
    assert place.identities.directory.channels == 0


def test_revoked_tokens_end_and_later_ones_of_the_user_do_not():
    place = world()
    old, new, other = (place.client() for _ in range(3))
    sign_in(old, user(issued=T - 50))
    sign_in(new, user(issued=T))
    sign_in(other, user(name="u2", issued=T - 50))
    for each in (old, new):
        ask(each, channel=OWN)
    list(end_revoked(place.identities, ["u1", "unknown"], lambda name, issued: issued < T, T))
    [ended] = old.send_queue.said()
    assert (ended["channel"], ended["reason"]) == (OWN, "revoked")
    assert (old.identity, new.identity.user, other.identity.user) == (None, "u1", "u2")
    assert new.send_queue.said() == []


def test_session_that_becomes_another_users_while_tokens_are_revoked_keeps_that_identity():
    place = world()
    sessions = [place.client() for _ in range(3 * VISITED_AT_ONCE // 2)]
    for session in sessions:
        identify(session, user(), T)
    steps = end_revoked(place.identities, ["u1"], lambda name, issued: True, T)
    next(steps)
    last = sessions[-1]
    end_identity(last, codes.SIGNED_OUT, T)
    identify(last, user(name="u2"), T)
    list(steps)
    assert {session.identity for session in sessions[:-1]} == {None}
    assert last.identity == user(name="u2")


def test_what_concerns_many_sessions_is_done_in_steps():
    place = world()
    sessions = [place.client() for _ in range(3 * VISITED_AT_ONCE // 2)]
    for session in sessions:
        identify(session, user(20), T)
        ask(session, channel=OWN)
    assert sum(1 for _ in run_due(place.identities, T)) == 3
    assert all(orjson.dumps(session.send_queue.said()) for session in sessions)
    assert sum(1 for _ in end_revoked(place.identities, ["u1"], lambda name, issued: True, T)) == 3
    assert all(session.identity is None for session in sessions)
