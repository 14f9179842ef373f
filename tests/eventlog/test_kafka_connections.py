"""What is changed in the connections of Kafka's clients, as far as it needs no broker."""

from contextlib import closing

from kafka.net.selector import NetworkSelector

from mesaya_ws.eventlog.kafka.connections import Connections


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
