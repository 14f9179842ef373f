"""Who may see what, across two workers and two instances, on the embedded log and on Kafka."""

import json
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.client import Client, connected
from tests.e2e.command import produce, started
from tests.e2e.identity import SETTINGS, token
from tests.support.gateway import START_TIMEOUT, Gateway, until

RESERVATIONS = "restaurant:R:reservations"


def restaurant(what: str, owner: str) -> dict[str, object]:
    return _record("restaurants", what, "R", {"id": "R", "name": "Mesa", "ownerId": owner})


def reservation(number: int) -> dict[str, object]:
    data = {"id": f"v{number}", "restaurantId": "R", "userId": "guest", "status": "PENDING"}
    return _record("reservations", "created", f"v{number}", data)


def _record(domain: str, what: str, id: str, data: dict[str, object]) -> dict[str, object]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    value = {"timestamp": at, "event_type": what, "entity_id": id, "data": data}
    return {"topic": f"mesa-ya.{domain}.events", "key": None, "value": value}


class Deployment:
    """An instance with two workers, and another one, on one log."""

    def __init__(self, folder, start_gateway, kafka: str = "") -> None:
        self.folder, self.kafka = folder, {"KAFKA_BROKERS": kafka} if kafka else {}
        self.write(restaurant("created", "u"))
        self.gateways: list[Gateway] = [
            start_gateway(WORKERS="2", **SETTINGS, **self.kafka),
            start_gateway(**SETTINGS, **self.kafka),
        ]

    def write(self, *records: dict[str, object]) -> None:
        """Append records to the log, one after the other."""
        produce(self.folder, records, **self.kafka)

    def everywhere(self, stack: ExitStack, user: str) -> list[Client]:
        """Connect a user to both workers and to the other instance, by all three ways in, and subscribe."""
        first, second = self.gateways
        clients = [by_header(stack, second, user), by_subprotocol(stack, second, user), by_message(stack, second, user)]

        def both() -> bool:
            clients.append(by_header(stack, first, user))
            return all(first.metric("mesaya_connections", worker=str(number)) > 0 for number in (1, 2))

        until(both, START_TIMEOUT, "both workers have a client")
        for client in clients:
            client.subscribe(RESERVATIONS)
        return clients


def by_header(stack: ExitStack, gateway: Gateway, user: str) -> Client:
    headers = {"Authorization": f"Bearer {token(user)}"}
    client = stack.enter_context(connected(gateway.url, additional_headers=headers))
    assert client.welcome["user"] == user
    return client


def by_subprotocol(stack: ExitStack, gateway: Gateway, user: str) -> Client:
    client = stack.enter_context(connected(gateway.url, subprotocols=["mesaya.v1", f"bearer.{token(user)}"]))
    assert (client.welcome["user"], client.socket.subprotocol) == (user, "mesaya.v1")
    return client


def by_message(stack: ExitStack, gateway: Gateway, user: str) -> Client:
    client = stack.enter_context(connected(gateway.url))
    assert client.ask(type="auth", token=token(user), id=1)["user"] == user
    return client


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def deployment(request, tmp_path, start_gateway) -> Deployment:
    kafka = request.getfixturevalue("platform_topics") if request.param == "kafka" else ""
    return Deployment(tmp_path, start_gateway, kafka)


def test_owner_that_changes_sees_nothing_after_that_record_anywhere_and_the_new_one_everything(deployment):
    with ExitStack() as stack:
        old = deployment.everywhere(stack, "u")
        deployment.write(reservation(1))
        assert [client.receive()["data"]["reservationId"] for client in old] == ["v1"] * len(old)
        deployment.write(restaurant("updated", "w"))
        for client in old:
            ended = client.receive()
            assert (ended["channel"], ended["reason"]) == (RESERVATIONS, "rights_changed")
            again = client.ask(type="subscribe", channel=RESERVATIONS, position=ended["position"])
            assert again["code"] == "unauthorized"
        new = deployment.everywhere(stack, "w")
        deployment.write(reservation(2))
        assert [client.receive()["data"]["reservationId"] for client in new] == ["v2"] * len(new)
        assert [client.ask(type="ping")["type"] for client in old] == ["pong"] * len(old)


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
        headers = {"Authorization": f"Bearer {token('u', seconds=3)}"}
        client = stack.enter_context(connected(gateway.url, additional_headers=headers))
        # Before anything else: less is left than the time in which it is told.
        expiring = client.receive()
        assert (expiring["type"], expiring["expiresIn"] <= 3) == ("token_expiring", True)
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
    gateway = start_gateway(AUTH_REQUIRED="on", HANDSHAKE_TIMEOUT="1", **SETTINGS)
    with connected(gateway.url) as anonymous, connected(gateway.url) as signed:
        assert signed.ask(type="auth", token=token("u", seconds=3))["user"] == "u"
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
    file.write_text(token("u", seconds=8))
    with started(tmp_path, "tail", RESERVATIONS, "--url", gateway.url, "--token-file", str(file)) as tail:
        assert "connected to" in tail.stderr.readline()
        assert "subscribed to" in tail.stderr.readline()
        file.write_text(token("u"))
        # It was renewed, or what had ended has begun again: nothing is missing in either case.
        until(lambda: gateway.metric("mesaya_client_messages_total", type="auth") > 0, 20, "the token is renewed")
        produce(tmp_path, [reservation(1)])
        assert json.loads(tail.stdout.readline())["data"]["reservationId"] == "v1"
