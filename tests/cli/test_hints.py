from pathlib import Path

from mesaya_ws.cli.hints import hints
from mesaya_ws.settings import Settings


def printed(*, elsewhere=False, **settings):
    return "\n".join(hints(Settings(**settings), "x/mesaya-ws", elsewhere=elsewhere))


def test_with_the_embedded_log_its_file_and_the_sample_are_named():
    said = printed(event_log_file=Path("/somewhere/log.sqlite3"))
    assert "Events come from /somewhere/log.sqlite3" in said
    assert "x/mesaya-ws produce --sample" in said
    assert "x/mesaya-ws tail --snapshot" in said
    assert "ws://127.0.0.1:8080/ws" in said
    assert "open http://127.0.0.1:8080/console in a browser" in said


def test_hint_with_kafka_does_not_suggest_the_sample():
    said = printed(kafka_brokers=("kafka:9092", "other:9092"))
    assert "Kafka at kafka:9092, other:9092" in said
    assert "x/mesaya-ws check" in said
    assert "produce" not in said
    assert "sqlite3" not in said


def test_an_address_that_is_not_in_the_settings_is_named_to_other_commands():
    said = printed(elsewhere=True, host="10.0.0.1", port=9000)
    assert "tail --url ws://10.0.0.1:9000/ws --snapshot" in said


def test_a_port_that_is_not_known_yet_is_left_open():
    assert "http://[::1]:<port>/health" in printed(host="::1", port=0)
