"""Who may see what, across two workers and two instances, on the embedded log and on Kafka."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.client import Client, Message, connected
from tests.e2e.command import produce, started
from tests.e2e.event_reader import reading
from tests.e2e.identity import SETTINGS, token
from tests.support.gateway import START_TIMEOUT, Gateway, until
from tests.timing import PATIENCE

RESERVATIONS = "restaurant:R:reservations"


def restaurant(what: str, owner: str) -> dict[str, object]:
    return _record("restaurants", what, "R", {"id": "R", "name": "Mesa", "ownerId": owner})


def reservation(number: int) -> dict[str, object]:
    data = {"id": f"v{number}", "restaurantId": "R", "userId": "guest", "status": "PENDING"}
    return _record("reservations", "created", f"v{number}", data)


def roles(user: str, *names: str) -> dict[str, object]:
    value = {"type": "roles_updated", "data": {"id": user, "roles": names, "password": "canary"}}
    return {"topic": "mesa-ya.auth.events", "key": None, "value": value}


def _record(domain: str, what: str, id: str, data: dict[str, object]) -> dict[str, object]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    value = {"timestamp": at, "event_type": what, "entity_id": id, "data": data}
    return {"topic": f"mesa-ya.{domain}.events", "key": None, "value": value}


class Deployment:
    """An instance with two workers, and another one, on one log."""

    def __init__(self, folder, start_gateway, kafka: str = "") -> None:
        self.folder, self.kafka = folder, {"KAFKA_BROKERS": kafka} if kafka else {}
        self.write(restaurant("created", "u"))
        # On a busy machine, one of two workers may take many connections before the other takes one.
        settings = {**SETTINGS, **self.kafka, "MAX_CONNECTIONS_PER_USER": "0"}
        self.gateways: list[Gateway] = [start_gateway(WORKERS="2", **settings), start_gateway(**settings)]

    def write(self, *records: dict[str, object]) -> None:
        """Append records to the log, one after the other."""
        produce(self.folder, records, **self.kafka)

    def everywhere(self, stack: ExitStack, user: str, *roles: str, channels: Sequence[str] = ()) -> list[Client]:
        """Connect a user to both workers and to the other instance, by all three ways in, and subscribe."""
        first, second = self.gateways
        clients = [way(stack, second, user, *roles) for way in (by_header, by_subprotocol, by_message)]

        def connected_to(worker: int) -> float:
            return first.metric("mesaya_connections", worker=str(worker))

        before = [connected_to(worker) for worker in (1, 2)]

        def both() -> bool:
            clients.append(by_header(stack, first, user, *roles))
            return all(connected_to(worker) > count for worker, count in zip((1, 2), before, strict=True))

        until(both, START_TIMEOUT, "both workers have a client")
        for client in clients:
            client.subscribe(*channels or (RESERVATIONS,))
        return clients

    def read_everywhere(self, stack: ExitStack, user: str) -> list[Iterator[Message]]:
        """Have a user read the events of its channel by HTTP, at both instances."""
        readers = [
            without_pongs(stack.enter_context(reading(gateway.port, [RESERVATIONS], token=token(user))))
            for gateway in self.gateways
        ]
        for reader in readers:
            assert [next(reader)["type"] for _ in range(2)] == ["welcome", "subscribed"]
        return readers


def without_pongs(messages: Iterable[Message]) -> Iterator[Message]:
    """Return what is sent by HTTP without what a client is sent that has been sent nothing else for long."""
    return (message for message in messages if message["type"] != "pong")


def by_header(stack: ExitStack, gateway: Gateway, user: str, *roles: str) -> Client:
    headers = {"Authorization": f"Bearer {token(user, *roles)}"}
    client = stack.enter_context(connected(gateway.url, additional_headers=headers))
    assert client.welcome["user"] == user
    return client


def by_subprotocol(stack: ExitStack, gateway: Gateway, user: str, *roles: str) -> Client:
    client = stack.enter_context(connected(gateway.url, subprotocols=["mesaya.v1", f"bearer.{token(user, *roles)}"]))
    assert (client.welcome["user"], client.socket.subprotocol) == (user, "mesaya.v1")
    return client


def by_message(stack: ExitStack, gateway: Gateway, user: str, *roles: str) -> Client:
    client = stack.enter_context(connected(gateway.url))
    assert client.ask(type="auth", token=token(user, *roles), id=1)["user"] == user
    return client


def refused(clients: list[Client], **message: object) -> None:
    """See that no client may subscribe."""
    for client in clients:
        answer = client.ask(type="subscribe", **{"channel": RESERVATIONS} | message)
        assert (answer["type"], answer["code"]) == ("error", "unauthorized")


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def deployment(request, tmp_path, start_gateway) -> Deployment:
    kafka = request.getfixturevalue("platform_topics") if request.param == "kafka" else ""
    return Deployment(tmp_path, start_gateway, kafka)


def test_owner_that_changes_sees_nothing_after_that_record_anywhere_and_the_new_one_everything(deployment):
    with ExitStack() as stack:
        old = deployment.everywhere(stack, "u")
        readers = deployment.read_everywhere(stack, "u")
        own = by_header(stack, deployment.gateways[1], "u")
        own.subscribe("user:u:notifications")
        deployment.write(reservation(1))
        assert [client.receive()["data"]["reservationId"] for client in old] == ["v1"] * len(old)
        deployment.write(restaurant("updated", "w"))
        # It is the last one by that right, and what says so to the old owner comes on a channel of its own.
        assert own.receive()["type"] == "restaurant.owner_changed"
        for client in old:
            ended = client.receive()
            assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "rights_changed")
            refused([client], position=ended["position"])
        # Not before: a broker that is asked for several topics may answer with the later record first.
        deployment.write(reservation(2))
        for reader in readers:
            event, ended = next(reader), next(reader)
            assert event["data"]["reservationId"] == "v1"
            assert (ended["type"], ended["reason"]) == ("unsubscribed", "rights_changed")
        new = deployment.everywhere(stack, "w")
        deployment.write(reservation(3))
        assert [client.receive()["data"]["reservationId"] for client in new] == ["v3"] * len(new)
        assert [client.ask(type="ping")["type"] for client in old] == ["pong"] * len(old)
        # The restaurant's deletion is the last word to its owner.
        deployment.write(restaurant("deleted", "w"))
        for client in new:
            event, ended = client.receive(), client.receive()
            assert (event["type"], event["channel"]) == ("restaurant.deleted", RESERVATIONS)
            assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "rights_changed")
        refused(new)


def test_roles_that_the_log_has_later_than_a_token_count_everywhere_from_that_record_on(deployment):
    channels = (RESERVATIONS, "restaurant:R:chat:guest", "user:guest:notifications")
    with ExitStack() as stack:
        losers = deployment.everywhere(stack, "a", "ADMIN", channels=channels)
        gainers = deployment.everywhere(stack, "b", channels=("global:restaurants",))
        refused(gainers)
        deployment.write(reservation(1))
        for client in losers:
            assert {client.receive()["channel"] for _ in range(2)} == {RESERVATIONS, "user:guest:notifications"}
        deployment.write(roles("a", "USER"), roles("b", "ADMIN"))
        taken_at = time.time()
        for client in losers:
            ended = [client.receive() for _ in channels]
            assert {each["channel"] for each in ended} == set(channels)
            assert {each["reason"] for each in ended} == {"rights_changed"}
            refused([client])
        for client in gainers:
            until(lambda client=client: can_subscribe(client), PATIENCE, "the role has been read there, too")
        deployment.write(reservation(2))
        assert [client.receive()["data"]["reservationId"] for client in gainers] == ["v2"] * len(gainers)
        assert [client.ask(type="ping")["type"] for client in losers] == ["pong"] * len(losers)
        # A token that was issued later than the record says what counts.
        until(lambda: int(time.time()) > taken_at, 2, "tokens are issued later than that")
        for gateway in deployment.gateways:
            by_header(stack, gateway, "a", "ADMIN").subscribe(*channels)


def can_subscribe(client: Client) -> bool:
    answer = client.ask(type="subscribe", channel=RESERVATIONS)
    assert answer["type"] == "subscribed" or answer["code"] == "unauthorized"
    return answer["type"] == "subscribed"


def test_user_who_is_revoked_on_one_instance_is_nobody_on_all_also_who_comes_later(deployment):
    with ExitStack() as stack:
        clients = deployment.everywhere(stack, "u")
        bystander = stack.enter_context(connected(deployment.gateways[0].url))
        bystander.subscribe("global:restaurants")
        kept = token("u", issued=-1)
        status, _ = deployment.gateways[1].publish({"user": "u", "before": round(time.time() * 1000)}, "/revoke")
        assert status == 200
        for client in clients:
            ended = client.receive()
            assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "revoked")
        deployment.write(reservation(1))
        assert [client.ask(type="ping")["type"] for client in (*clients, bystander)] == ["pong"] * (len(clients) + 1)
        for gateway in deployment.gateways:
            with (
                pytest.raises(InvalidStatus) as caught,
                connected(gateway.url, additional_headers={"Authorization": f"Bearer {kept}"}),
            ):
                pass
            assert caught.value.response.status_code == 401
            client = stack.enter_context(connected(gateway.url))
            assert client.ask(type="auth", token=kept)["code"] == "bad_token"


def test_token_that_ends_takes_what_is_private_and_a_later_one_goes_on_from_there(deployment):
    with ExitStack() as stack:
        gateway = deployment.gateways[0]
        headers = {"Authorization": f"Bearer {token('u', seconds=20)}"}
        client = stack.enter_context(connected(gateway.url, additional_headers=headers))
        # Before anything else: less is left than the time of the warning.
        expiring = client.receive()
        assert (expiring["type"], expiring["expiresIn"] <= 20) == ("token_expiring", True)
        client.subscribe(RESERVATIONS, "global:restaurants")
        ended = client.receive()
        assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "token_expired")
        deployment.write(reservation(1), restaurant("updated", "u"))
        assert client.receive()["channel"] == "global:restaurants"
        assert client.ask(type="auth", token=token("x"))["user"] == "x"
        assert client.ask(type="auth", token=token("u"))["code"] == "other_user"
        assert client.ask(type="auth", token=None)["type"] == "authenticated"
        assert client.ask(type="auth", token=token("u"))["user"] == "u"
        # At another instance, too.
        other = by_header(stack, deployment.gateways[1], "u")
        for each in (client, other):
            answer = each.ask(type="subscribe", channel=RESERVATIONS, position=ended["position"])
            assert (answer["recovered"], answer["replayed"]) == (True, 1)
            assert each.receive()["data"]["reservationId"] == "v1"


def test_who_must_have_an_identity_is_closed_without_one(tmp_path, start_gateway):
    gateway = start_gateway(AUTH_REQUIRED="on", HANDSHAKE_TIMEOUT="5", **SETTINGS)
    with connected(gateway.url) as anonymous, connected(gateway.url) as signed:
        assert signed.ask(type="auth", token=token("u", seconds=15))["user"] == "u"
        assert signed.receive()["type"] == "token_expiring"
        assert anonymous.closed_with() == 4401
        assert signed.closed_with() == 4401


def test_newest_connection_of_a_user_with_too_many_is_refused_by_each_way_in(start_gateway):
    gateway = start_gateway(MAX_CONNECTIONS_PER_USER="2", **SETTINGS)
    with ExitStack() as stack:
        held = [by_header(stack, gateway, "u"), by_message(stack, gateway, "u")]
        refused = stack.enter_context(connected(gateway.url))
        refused.send(type="auth", token=token("u"))
        assert refused.closed_with() == 4429
        headers = {"Authorization": f"Bearer {token('u')}"}
        assert stack.enter_context(connected(gateway.url, additional_headers=headers)).closed_with() == 4429
        assert [client.ask(type="ping")["type"] for client in held] == ["pong", "pong"]
        assert gateway.metric("mesaya_limits_exceeded_total", reason="connections_per_user") == 2


def test_tail_signs_in_by_a_file_and_goes_on_when_the_file_has_another_token(tmp_path, start_gateway):
    produce(tmp_path, [restaurant("created", "u")])
    gateway = start_gateway(**SETTINGS)
    file = tmp_path / "token"
    file.write_text(token("u", seconds=30))
    with started(tmp_path, "tail", RESERVATIONS, "--url", gateway.url, "--token-file", str(file)) as tail:
        assert "connected to" in tail.stderr.readline()
        assert "subscribed to" in tail.stderr.readline()
        file.write_text(token("u"))
        # It was renewed, or what had ended has begun again: nothing is missing in either case.
        until(lambda: gateway.metric("mesaya_client_messages_total", type="auth") > 0, PATIENCE, "the token is renewed")
        produce(tmp_path, [reservation(1)])
        assert json.loads(tail.stdout.readline())["data"]["reservationId"] == "v1"
