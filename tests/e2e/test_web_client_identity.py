"""The JavaScript client signs in and out, is revoked, loses rights and publishes, at a real gateway."""

import time

import jwt
import pytest

from tests.e2e.node import running_node

SECRET = "a secret of thirty-two bytes or more"
PUBLISH_TOKEN = "a token of the tests"
NEWS = "global:announcements"


def token(user, *roles, seconds=600):
    now = int(time.time())
    claims = {"sub": user, "roles": roles, "iss": "mesaYA-auth", "iat": now - 1, "exp": now + seconds}
    return jwt.encode(claims, SECRET, "HS256")


def own(user):
    return f"user:{user}:notifications"


def record(domain, what, entity, **data):
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": what, "entity_id": entity, "data": data}
    return {"topic": f"mesa-ya.{domain}.events", "value": value}


def reservation(name, user):
    return record("reservations", "created", name, restaurantId="r1", userId=user, tableId="t1", status="PENDING")


@pytest.fixture
def gateway(start_gateway):
    gateway = start_gateway(AUTH="on", JWT_SECRET=SECRET, JWT_LEEWAY="0", PUBLISH_TOKEN=PUBLISH_TOKEN)
    publish(gateway, record("restaurants", "created", "r1", name="Uno", ownerId="u1"))
    return gateway


@pytest.fixture
def client(gateway):
    with running_node("sign_in.mjs", gateway.url) as program:
        assert program.next("asked") == "connect"
        assert program.next("state") == "live"
        yield program


def publish(gateway, message):
    assert gateway.publish(message)[0] == 201


def revoke(gateway, user):
    bearer = f"Bearer {PUBLISH_TOKEN}"
    assert gateway.request("/revoke", method="POST", body={"user": user}, Authorization=bearer)[0] == 200


def signed_in(client, user, *roles):
    client.say([{"token": token(user, *roles), "call": "authenticate"}])
    assert client.next("done") == "authenticate"


def test_channel_that_waits_for_a_token_begins_when_the_user_signs_in(gateway, client):
    client.say([{"subscribe": own("u1")}])
    assert client.next("ended") == {"channel": own("u1"), "reason": "unauthorized", "again": True}
    signed_in(client, "u1")
    assert client.next("live") == own("u1")
    publish(gateway, reservation("b1", "u1"))
    assert client.next("received") == [own("u1"), "reservation.created"]
    assert gateway.metric("mesaya_connections_opened_total") == 1, "on the same connection"


def test_client_that_signs_out_receives_what_is_public_and_later_what_it_has_missed(gateway, client):
    signed_in(client, "u1")
    client.say([{"subscribe": own("u1")}, {"subscribe": NEWS}])
    assert [client.next("live"), client.next("live")] == [own("u1"), NEWS]
    client.say([{"call": "signOut"}])
    assert client.next("signedOut") == "signed-out"
    assert client.next("ended") == {"channel": own("u1"), "reason": "signed_out", "again": True}
    publish(gateway, reservation("b1", "u1"))
    assert gateway.announce("for all") == 201
    assert client.next("received") == [NEWS, "announcement.created"]
    signed_in(client, "u1")
    assert client.next_of({"live"}) == {"live": own("u1"), "recovered": True}
    assert client.next("received") == [own("u1"), "reservation.created"]


def test_another_user_is_signed_in_on_another_connection(gateway, client):
    signed_in(client, "u1")
    client.say([{"subscribe": own("u1")}, {"subscribe": NEWS}])
    assert [client.next("live"), client.next("live")] == [own("u1"), NEWS]
    signed_in(client, "u2")
    assert client.next("ended") == {"channel": own("u1"), "reason": "unauthorized", "again": True}
    assert client.next_of({"live"}) == {"live": NEWS, "recovered": True}
    assert gateway.metric("mesaya_connections_opened_total") == 2


def test_revoked_client_is_signed_out_until_it_has_a_new_token(gateway, client):
    signed_in(client, "u1")
    client.say([{"subscribe": own("u1")}])
    assert client.next("live") == own("u1")
    revoke(gateway, "u1")
    assert client.next("ended") == {"channel": own("u1"), "reason": "revoked", "again": True}
    assert client.next("signedOut") == "revoked"
    assert client.next("asked") == "rejected"
    publish(gateway, reservation("b1", "u1"))
    time.sleep(2.1)  # tokens have whole seconds: one of this second is revoked, too
    signed_in(client, "u1")
    assert client.next_of({"live"}) == {"live": own("u1"), "recovered": True}
    assert client.next("received") == [own("u1"), "reservation.created"]


def test_subscription_ends_for_good_with_the_right_to_it(gateway, client):
    signed_in(client, "u1", "OWNER")
    channel = "restaurant:r1:reservations"
    client.say([{"subscribe": channel}])
    assert client.next("live") == channel
    publish(gateway, record("restaurants", "updated", "r1", name="Uno", ownerId="u2"))
    assert client.next("ended") == {"channel": channel, "reason": "rights_changed", "again": False}


def test_message_that_is_published_while_the_service_is_away_arrives_once(start_gateway, gateway, client):
    signed_in(client, "u1", "USER")
    conversation = "restaurant:r1:chat:u1"
    client.say([{"subscribe": conversation}])
    assert client.next("live") == conversation
    client.say([{"publish": [conversation, "¿Hay mesa?"]}])
    first = client.next_of({"received"})
    assert (first["received"], client.next("published")) == ([conversation, "chat.message"], first["position"])
    assert gateway.stop() == 0
    client.say([{"publish": [conversation, "¿A las nueve?"]}])
    start_gateway(**gateway.settings, PORT=str(gateway.port))
    second = client.next_of({"received"})
    assert (second["received"], client.next("published")) == ([conversation, "chat.message"], second["position"])
    assert second["position"] != first["position"]


def test_bad_token_is_reported_to_who_signs_in(client):
    client.say([{"token": "no token", "call": "authenticate"}])
    assert client.next("asked") == "connect"
    assert client.next("rejected") == "bad_token"
    client.say([{"call": "reconnect"}])
    assert client.next_of({"state"}) == {"state": "connecting", "user": None}
    # It cannot even be said in a handshake.
    assert [client.next("asked"), client.next("asked")] == ["connect", "rejected"]
    assert client.next("state") == "refused"
