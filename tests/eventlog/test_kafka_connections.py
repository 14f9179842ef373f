"""What is changed in the connections of Kafka's clients, as far as it needs no broker."""

from contextlib import closing

import pytest
from kafka.errors import KafkaError
from kafka.net.selector import NetworkSelector

from mesaya_ws.eventlog.kafka.clients import Clients, connection_options
from mesaya_ws.eventlog.kafka.connections import Connections
from mesaya_ws.settings import Settings


def test_an_address_that_failed_is_not_waited_for_while_there_are_others():
    addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    long = {"reconnect_backoff_ms": 10_000, "reconnect_backoff_max_ms": 1_000_000}
    with closing(NetworkSelector()) as net:
        connections = Connections(net, bootstrap_servers=addresses, **long)

        def tried_next() -> set[str]:
            return {address.node_id for address in connections.cluster.bootstrap_brokers()}

        assert tried_next() == {"bootstrap-0", "bootstrap-1", "bootstrap-2"}
        connections.update_backoff("bootstrap-1")
        assert tried_next() == {"bootstrap-0", "bootstrap-2"}
        connections.update_backoff("bootstrap-0")
        assert tried_next() == {"bootstrap-2"}
        for _ in range(5):
            connections.update_backoff("bootstrap-2")
        assert tried_next() < {"bootstrap-0", "bootstrap-1"}, "who failed most is waited for longest"


@pytest.mark.parametrize("kind", ["admin", "consumer", "producer"])
def test_who_wants_a_client_when_they_have_been_closed_meanwhile_gets_an_error_of_kafka(kind):
    clients = Clients(connection_options(Settings(kafka_brokers=("127.0.0.1:1",))))
    clients.free()
    with pytest.raises(KafkaError):
        getattr(clients, kind)()
