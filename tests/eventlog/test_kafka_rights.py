"""Who a client of Kafka is, what it may do, and by what connection; on a broker of their own."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio
import trustme
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.consumer.fetcher import Fetcher

from mesaya_ws.core.log.events import (
    Available,
    LogMetadata,
    Unavailable,
)
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord, Partition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka import COMPACTED, open_kafka_log
from mesaya_ws.settings import SettingsError
from tests.kafka_broker import SASL_PASSWORD, SASL_USER, Broker
from tests.support.certificates import write_pem

from .contract import Ear, following, kinds, numbered, place
from .kafka_store import PARTITIONS, KafkaStore

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_sasl(kafka_broker: Broker, store: KafkaStore, mechanism: str):
    sasl = sasl_settings(kafka_broker, mechanism, SASL_PASSWORD)
    async with open_kafka_log(store.settings(**sasl)) as log, following(log) as ear:
        await log.append(numbered(store.topics[0], 3))
        await ear.until_held(3)


def sasl_settings(broker: Broker, mechanism: str, password: str) -> dict[str, object]:
    return {
        "kafka_brokers": (broker.sasl_address,),
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": SASL_USER,
        "kafka_sasl_password": password,
    }


@pytest.mark.parametrize("operation", [ACLOperation.ALL, ACLOperation.DESCRIBE])
async def test_a_topic_that_may_not_be_read_is_reported_and_the_others_go_on(
    kafka_broker: Broker, hasty: KafkaStore, operation: ACLOperation
):
    granted, forbidden, _ = hasty.topics
    # A rule for others takes every right from us; one for us, all rights but its own.
    rule = allowed(SASL_USER if operation is ACLOperation.DESCRIBE else "bob", operation, ResourceType.TOPIC, forbidden)
    await hasty.produce(forbidden, [b"a", b"b", b"c"])
    await hasty.administer(lambda admin: admin.create_acls([rule]))
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with hasty.open(**sasl) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.troubles))
        (trouble,) = ear.troubles
        assert (trouble.topic, trouble.kind) == (forbidden, Hindrance.REFUSED)
        assert f"let us read {forbidden}" in trouble.reason
        assert trouble.withheld == (3 if operation is ACLOperation.DESCRIBE else 0)
        with pytest.raises(RecordRejectedError, match="allow WRITE"):
            await log.append([NewRecord(forbidden, b"a")])
        with pytest.raises(LogUnavailableError, match=f"let us read {forbidden}"):
            await log.extents()
        assert {partition.topic for partition in await log.extents(skip_refused=True)} >= {granted}
        with pytest.raises(LogUnavailableError, match=f"let us read {forbidden}"):
            await log.read(Partition(forbidden, 0), 0)
        await log.append([NewRecord(granted, b"a")])
        await ear.until_held(1)
        await hasty.administer(lambda admin: admin.delete_acls([rule]))
        await ear.until_held(4)
        await ear.until(lambda: not ear.troubles)
    # On a busy machine, the broker may not answer within the second that the follower waits here.
    assert all("no answer in time" in outage.reason for outage in ear.all(Unavailable))


async def test_a_right_that_is_withdrawn_stops_nothing_else(kafka_broker: Broker, store: KafkaStore):
    """No look comes meanwhile: it is the fetch that is refused."""
    granted, forbidden, _ = store.topics
    rule = allowed(SASL_USER, ACLOperation.DESCRIBE, ResourceType.TOPIC, forbidden)
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with open_kafka_log(store.settings(**sasl)) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        await store.administer(lambda admin: admin.create_acls([rule]))
        for number in range(3):
            await store.produce(forbidden, [b"%d" % number])
            await store.produce(granted, [b"%d" % number] * 10)
            await ear.until_held(10 * (number + 1))
        assert {record.topic for record in ear.records} == {granted}
        await ear.until(lambda: [(each.topic, each.withheld) for each in ear.troubles] == [(forbidden, 3)])
        await store.administer(lambda admin: admin.delete_acls([rule]))
        await ear.until_held(33)
        await ear.until(lambda: not ear.troubles)
    assert [record.value for record in ear.records if record.topic == forbidden] == [b"0", b"1", b"2"]


async def test_a_partition_whose_fetches_fail_at_the_broker_stops_nothing_else(
    hasty: KafkaStore, monkeypatch: pytest.MonkeyPatch
):
    sound, broken, _ = hasty.topics
    fails = True

    def handle(fetcher: Any, node: Any, places: Any, sent_at: float, response: Any) -> None:
        for topic in response.responses:
            for part in topic.partitions:
                if topic.topic == broken and fails and part.records:
                    part.error_code, part.records, part.high_watermark, part.last_stable_offset = -1, b"", -1, -1
        original(fetcher, node, places, sent_at, response)

    original = Fetcher._handle_fetch_response
    monkeypatch.setattr(Fetcher, "_handle_fetch_response", handle)
    async with hasty.with_timings(unreadable_after=0.1).open() as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        await hasty.produce(broken, [b"a", b"b"])
        await ear.until(lambda: any(trouble.withheld == 2 for trouble in ear.troubles))
        (trouble,) = ear.troubles
        assert (trouble.topic, trouble.number, trouble.kind) == (broken, 0, Hindrance.UNKNOWN)
        assert "hands out nothing" in trouble.reason
        await hasty.produce(sound, [b"%d" % number for number in range(50)])
        await ear.until_held(50)
        fails = False
        await ear.until_held(52)
        await ear.until(lambda: not ear.troubles)
    assert [record.value for record in ear.records if record.topic == broken] == [b"a", b"b"]


async def test_a_topic_that_does_not_exist_is_reported_unless_it_is_ours(store: KafkaStore):
    missing, own = f"test.missing.{uuid4().hex}", f"test.own.{uuid4().hex}"
    topics = (store.topics[0], missing, own)
    async with open_kafka_log(store.settings(kafka_topics=topics), {own: COMPACTED}) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))
        assert set(await log.extents()) == {Partition(store.topics[0], number) for number in range(PARTITIONS)}
    (trouble,) = ear.troubles
    assert (trouble.topic, trouble.number, trouble.kind) == (missing, None, Hindrance.ABSENT)


def allowed(principal: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
    pattern = ResourcePattern(kind, name)
    return ACL(f"User:{principal}", "*", operation, ACLPermissionType.ALLOW, pattern)


async def test_a_topic_of_our_own_is_made_with_the_first_record(kafka_broker: Broker, store: KafkaStore):
    own, other = f"test.own.{uuid4().hex}", f"test.own.{uuid4().hex}"
    rules = [
        allowed("bob", ACLOperation.CREATE, ResourceType.CLUSTER, "kafka-cluster"),
        allowed(SASL_USER, ACLOperation.WRITE, ResourceType.TOPIC, other),
    ]
    async with open_kafka_log(store.settings(kafka_topics=(own,)), {own: COMPACTED}) as log:
        assert await log.extents() == {}
        (appended,) = await log.append([NewRecord(own, b"a", b"k")])
        assert [record.value for record in await log.read(place(appended), 0)] == [b"a"]
    await store.administer(lambda admin: admin.create_acls(rules))
    sasl = sasl_settings(kafka_broker, "PLAIN", SASL_PASSWORD)
    async with open_kafka_log(store.settings(kafka_topics=(other,), **sasl), {other: COMPACTED}) as log:
        with pytest.raises(RecordRejectedError, match=r"does not let us make it .* cleanup.policy=compact"):
            await log.append([NewRecord(other, b"a", b"k")])
    await store.administer(lambda admin: admin.delete_acls(rules))


async def first_reason(store: KafkaStore, **others: object) -> str:
    """Return why a follower with other settings than it needs reports an outage."""
    ear = Ear()
    async with open_kafka_log(store.settings(**others)) as log, trio.open_nursery() as nursery:
        nursery.start_soon(log.follow, ear.deliver)
        await ear.until(lambda: bool(ear.news))
        nursery.cancel_scope.cancel()
    (outage,) = ear.news
    assert isinstance(outage, Unavailable)
    return outage.reason


async def test_what_is_wrong_with_the_connection_is_reported(kafka_broker: Broker, hasty: KafkaStore):
    wrong = [
        ("refuses the credentials", sasl_settings(kafka_broker, "PLAIN", "a wrong password")),
        ("refuses the credentials", sasl_settings(kafka_broker, "SCRAM-SHA-256", "a wrong password")),
        ("does not offer this way to authenticate", sasl_settings(kafka_broker, "SCRAM-SHA-512", SASL_PASSWORD)),
        ("nothing listens there", {"kafka_brokers": ("127.0.0.1:9",)}),
        ("cannot be resolved", {"kafka_brokers": ("nowhere.invalid:9092",)}),
        ("does not speak TLS", {"kafka_security_protocol": "SSL"}),
        ("KAFKA_SECURITY_PROTOCOL (PLAINTEXT)", {"kafka_brokers": (kafka_broker.sasl_address,)}),
    ]
    for words, settings in wrong:
        reason = await first_reason(hasty, **settings)
        assert words in reason
        assert "a wrong password" not in reason


async def test_tls(kafka_broker: Broker, hasty: KafkaStore, tmp_path: Path):
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    write_pem(tmp_path / "broker.pem", authority.issue_cert("127.0.0.1"))
    client = write_pem(tmp_path / "client.pem", authority.issue_cert("mesaya-ws@example.com"))
    right = {
        "kafka_brokers": (kafka_broker.tls_address,),
        "kafka_security_protocol": "SSL",
        "kafka_ssl_cafile": str(tmp_path / "authority.pem"),
        "kafka_ssl_certfile": client,
        "kafka_ssl_keyfile": client,
    }
    kafka_broker.use_tls(tmp_path / "broker.pem", tmp_path / "authority.pem")
    await trio.to_thread.run_sync(kafka_broker.restart)
    async with hasty.open(**right) as log, following(log) as ear:
        await ear.until(lambda: bool(ear.all(LogMetadata)))  # an append would not wait for a broker that is starting
        await log.append(numbered(hasty.topics[0], 3))
        await ear.until_held(3)
    reason = await first_reason(hasty, **right | {"kafka_ssl_cafile": str(tmp_path / "other.pem")})
    assert "KAFKA_SSL_CAFILE" in reason
    reason = await first_reason(hasty, **right | {"kafka_ssl_certfile": "", "kafka_ssl_keyfile": ""})
    assert "KAFKA_SSL_CERTFILE" in reason
    right["kafka_brokers"] = (kafka_broker.tls_address.replace("127.0.0.1", "localhost"),)
    assert "KAFKA_SSL_CHECK_HOSTNAME" in await first_reason(hasty, **right)
    async with hasty.open(**right, kafka_ssl_check_hostname=False) as log:
        assert await log.extents()


async def test_reason_of_an_outage_is_the_present_one(kafka_broker: Broker, hasty: KafkaStore, tmp_path: Path):
    """The broker ends, comes back with a certificate of another authority, and then with the right one."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    for name, issuer in (("right.pem", authority), ("wrong.pem", other)):
        write_pem(tmp_path / name, issuer.issue_cert("127.0.0.1"))
    client = write_pem(tmp_path / "client.pem", authority.issue_cert("mesaya-ws@example.com"))
    kafka_broker.use_tls(tmp_path / "right.pem", tmp_path / "authority.pem")
    await trio.to_thread.run_sync(kafka_broker.restart)
    settings = hasty.settings(
        kafka_brokers=(kafka_broker.tls_address,),
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=str(tmp_path / "authority.pem"),
        kafka_ssl_certfile=client,
        kafka_ssl_keyfile=client,
    )
    async with open_kafka_log(settings, timings=hasty.timings) as log, following(log) as ear:
        await log.append(numbered(hasty.topics[0], 1))
        await ear.until_held(1)
        await trio.to_thread.run_sync(kafka_broker.stop)
        await ear.until(lambda: any("nothing listens there" in outage.reason for outage in ear.all(Unavailable)))
        kafka_broker.use_tls(tmp_path / "wrong.pem", tmp_path / "authority.pem")
        await trio.to_thread.run_sync(kafka_broker.start)
        await ear.until(lambda: "KAFKA_SSL_CAFILE" in ear.all(Unavailable)[-1].reason)
        kafka_broker.use_tls(tmp_path / "right.pem", tmp_path / "authority.pem")
        await trio.to_thread.run_sync(kafka_broker.restart)
        await ear.until(lambda: bool(ear.all(Available)))
        await log.append(numbered(hasty.topics[0], 1))
        await ear.until_held(2)
    assert kinds(ear)[-1] is Available
    assert len(ear.all(Available)) == 1


async def test_files_for_tls_are_checked_first(tmp_path: Path):
    tls = {"kafka_security_protocol": "SSL"}
    nowhere = str(tmp_path / "nowhere.pem")
    store = KafkaStore("127.0.0.1:9")
    with pytest.raises(SettingsError, match="KAFKA_SSL_CAFILE"):
        async with open_kafka_log(store.settings(kafka_ssl_cafile=nowhere, **tls)):
            pass
    with pytest.raises(SettingsError, match="KAFKA_SSL_CERTFILE"):
        async with open_kafka_log(store.settings(kafka_ssl_certfile=nowhere, kafka_ssl_keyfile=nowhere, **tls)):
            pass
