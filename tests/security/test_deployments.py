"""Every kind of attack at once on a gateway with two workers, on either log, and secrets that Kafka must not get.

The other modules try each attack on one process with the embedded log.
"""

import json
import os
import random
import re
import signal
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.raw import raw
from tests.kafka_broker import SASL_PASSWORD, SASL_USER, create_topics
from tests.security.aftermath import MIB, check_calm, check_no_fault, memory
from tests.security.conftest import TOKEN
from tests.security.honest import HonestClient, honest_client
from tests.security.test_bad_tokens import BAD, ISSUER, by_header, by_subprotocol
from tests.security.test_bombs import BOMBS, posted
from tests.security.test_canaries import CANARY, HASH, SETTINGS, everything_answered, minted
from tests.security.test_floods import FLOODS, flooded
from tests.security.test_mutation import mutate
from tests.support.gateway import Gateway, running, until
from tests.support.wire import frame, handshake
from tests.timing import PATIENCE

SLOW_HEADS, MUTATION_SECONDS = 100, 1.5
ZLIB = re.escape(zlib.compress(b"", 1)[:2])
"""How a stream of zlib begins (RFC 1950, 2.2)."""
WORKERS_LOST = {"worker ended by itself"}


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def gateway(request, tmp_path) -> Iterator[Gateway]:
    settings = {"WORKERS": "2", "PUBLISH_TOKEN": TOKEN, "HANDSHAKE_TIMEOUT": "5", "CLOSE_TIMEOUT": "1"}
    settings |= {"AUTH": "on", "JWT_PUBLIC_KEY": ISSUER.pem.replace("\n", "\\n")}
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka_broker")
        create_topics(broker.address)
        settings["KAFKA_BROKERS"] = broker.address
    with running(tmp_path, **settings) as gateway:
        workers(gateway)
        yield gateway


def workers(gateway: Gateway) -> dict[int, int]:
    """Return the processes of the two workers by their numbers, once both accept connections."""

    def ready() -> dict[int, int]:
        pids = {entry["worker"]: entry["pid"] for entry in gateway.logged("worker started")}
        alive = Counter(entry["worker"] for entry in gateway.logged("worker ready"))
        alive.subtract(entry["worker"] for entry in gateway.logged("worker ended by itself"))
        return {number: pids[number] for number in alive if alive[number] > 0}

    gateway.until(lambda: len(ready()) == 2, PATIENCE, "two workers are ready")
    return ready()


def attack(port: int, choice: random.Random) -> None:
    """Send some of all that the other modules send, and see that each is answered as it should be."""
    with ExitStack() as stack:
        slow = [stack.enter_context(raw(port)) for _ in range(SLOW_HEADS)]
        for client in slow:
            client.send(handshake()[:5])
        for flood, code in FLOODS.values():
            with raw(port) as client:
                client.shake_hands()
                assert flooded(client, flood) in (code, None)
        for bomb in BOMBS.values():
            with raw(port) as client:
                client.shake_hands()
                client.send(frame(bomb), frame(b'{"type":"ping","id":"and on"}'))
                while json.loads(client.frame()[1]).get("id") != "and on":
                    pass
            for path in ("/publish", "/revoke"):
                with raw(port) as client:
                    client.send(posted(path, bomb))
                    assert client.refusal()[0] in (400, 413, 422)
        for bad in BAD.values():
            for way, answered in ((by_header, b"HTTP/1.1 401 "), (by_subprotocol, b"HTTP/1.1 101 ")):
                with raw(port) as client:
                    client.send(way(bad), b"\x88\x80\x00\x00\x00\x00")
                    answer = client.everything()
                    assert answer.startswith(answered)
                    assert b"bad_token" in answer
                    assert b'"user"' not in answer
        mutate(port, choice, MUTATION_SECONDS)
        for client in slow:
            assert client.refusal() == (408, "head_too_late")


def lose_a_worker(gateway: Gateway, number: int, honest: list[HonestClient], choice: random.Random) -> None:
    """Kill a worker in the midst of it; another takes its place."""
    os.kill(workers(gateway)[number], signal.SIGKILL)
    mutate(gateway.port, choice, MUTATION_SECONDS, may_be_cut=True)
    workers(gateway)
    answers = [client.answers for client in honest]
    until(
        lambda: all(client.answers > count for client, count in zip(honest, answers, strict=True)),
        PATIENCE,
        "all are answered",
    )


def test_attacks_at_once_and_lost_workers_harm_no_honest_client(gateway):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    choice = random.Random(seed)
    begin = len(gateway.output)
    with ExitStack() as stack:
        honest = [stack.enter_context(honest_client(gateway, may_be_cut=True)) for _ in range(4)]
        attack(gateway.port, choice)  # which fills the allocator
        before = memory(gateway)
        attack(gateway.port, choice)
        assert memory(gateway) - before < 8 * MIB
        assert [client.cuts for client in honest] == [0] * len(honest)
        for number in workers(gateway):
            lose_a_worker(gateway, number, honest, choice)
        # Each of them was at one of the two, and has been cut once, or came to the second one in between.
        assert all(1 <= client.cuts <= 2 for client in honest)
    check_calm(gateway)
    lines = check_no_fault(gateway.output[begin:], WORKERS_LOST)
    assert sum(line["event"] in WORKERS_LOST for line in lines) == 2


@pytest.mark.kafka
def test_no_secret_is_in_any_topic_but_the_one_where_the_platform_wrote_it(kafka_broker, tmp_path):
    create_topics(kafka_broker.address)
    settings = {
        "KAFKA_BROKERS": kafka_broker.sasl_address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_USERNAME": SASL_USER,
        "KAFKA_SASL_PASSWORD": SASL_PASSWORD,
        "CHECKPOINT_TOPIC": "mesaya-ws.state",
        "WINDOW_SECONDS": "1",
    }
    user = {"id": "u1", "email": "a@b.example", "password": HASH, "passwordHash": HASH, "firstName": "Ada"}
    place = {"id": "r1", "name": "Casa Ana", "ownerId": "u1"}
    restaurant = {"event_type": "created", "entity_id": "r1", "data": place}
    records = [
        {"topic": "mesa-ya.auth.events", "value": {"type": "user_signed_up", "data": user}},
        {"topic": "mesa-ya.restaurants.events", "value": restaurant},
    ]
    produce(tmp_path, records, KAFKA_BROKERS=kafka_broker.address)
    tokens = [minted(), minted(exp=1)]
    with running(tmp_path, **SETTINGS | settings) as gateway:
        said = everything_answered(gateway, tokens)
        with connected(gateway.url, additional_headers={"Authorization": f"Bearer {tokens[0]}"}) as client:
            conversation = {"channel": "restaurant:r1:chat:u1", "messageId": "m1", "data": {"text": "Hola"}}
            assert client.ask(type="publish", **conversation)["type"] == "published"
        assert gateway.publish({"user": "u2"}, "/revoke")[0] == 200
        gateway.until(lambda: gateway.metric("mesaya_checkpoint_rows"), PATIENCE, "a checkpoint has been written")
        output = gateway.output.encode()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    topics = contents(kafka_broker.address)
    assert b"Ada" in topics["mesaya-ws.state"], "it has been unpacked"
    # What the gateway itself writes is there to be looked at.
    assert all(topics[name] for name in ("mesaya-ws.revocations", "mesaya-ws.state", "mesa-ya.chat.events"))
    assert HASH.encode() in topics.pop("mesa-ya.auth.events")
    for where, text in {"answers": said, "files": kept, "output": output, **topics}.items():
        assert CANARY.findall(text) == [], where
        assert SASL_PASSWORD.encode() not in text, where
        for token in tokens:
            assert token.encode() not in text, where
            assert token.rpartition(".")[2].encode() not in text, where


def contents(address: str) -> dict[str, bytes]:
    """Return all keys and values in each topic of a broker, those that are packed unpacked, too."""
    found: dict[str, bytes] = {}
    with closing(KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)) as consumer:
        places = [
            TopicPartition(topic, number)
            for topic in consumer.topics()
            if not topic.startswith("__")
            for number in consumer.partitions_for_topic(topic)
        ]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends, deadline = consumer.end_offsets(places), time.monotonic() + PATIENCE
        while any(consumer.position(place) < end for place, end in ends.items()) and time.monotonic() < deadline:
            for place, records in consumer.poll(200).items():
                texts = [
                    text for record in records for part in (record.key, record.value) if part for text in unpacked(part)
                ]
                found[place.topic] = found.get(place.topic, b"") + b"\n".join(texts)
        assert all(consumer.position(place) >= end for place, end in ends.items())
    return found


def unpacked(text: bytes) -> Iterator[bytes]:
    """Yield a text, and what is packed in it, from wherever a stream of zlib may begin that was packed as ours are."""
    yield text
    for found in re.finditer(ZLIB, text):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(text[found.start() :])
