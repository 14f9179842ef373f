"""What is reported of topics before anything happens: rules without a broker, and that a real one is asked."""

from uuid import uuid4

import pytest
import trio
import typed_settings as ts
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from mesaya_ws.core.interactions.topics import ACKS, HOLDS, PRESENCE
from mesaya_ws.core.log.inspection import Inspection, error, warning
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.eventlog import inspect_event_log
from mesaya_ws.eventlog.kafka.inspection import Topic, findings
from mesaya_ws.settings import Settings
from tests.eventlog.kafka_store import KafkaStore
from tests.kafka_broker import SASL_PASSWORD, SASL_USER, Broker
from tests.timing import PATIENCE

SETTINGS = Settings(kafka_brokers=("kafka:9092",), kafka_topics=("a", "b"), checkpoint_topic="state")
ALL = ("READ", "WRITE", "DESCRIBE", "CREATE")
GOOD = {"cleanup.policy": "delete", "min.insync.replicas": "2"}


def topic(name="a", copies=(3,), in_sync=(3,), operations=ALL, **configs):
    named = {key.replace("_", "."): value for key, value in configs.items()}
    return Topic(name, True, None, copies, in_sync, operations, GOOD | named)


def reported(*topics, settings=SETTINGS):
    return list(findings(topics, settings))


def test_topics_as_they_should_be_give_no_finding():
    state = topic("state", cleanup_policy="compact")
    assert reported(topic("a"), topic("b"), state, Topic(PARENTS_TOPIC, exists=False)) == []


def test_topics_that_do_not_exist_are_an_error():
    assert reported(Topic("b", exists=False), Topic("a", exists=False)) == [
        error("these topics do not exist (yet): a, b.")
    ]


def test_topic_without_metadata_is_an_error():
    [finding] = reported(Topic("a", trouble="Not authorized"))
    assert finding == error("Kafka says nothing of a: Not authorized. Allow our user READ and DESCRIBE.")


@pytest.mark.parametrize("name", [ACKS, HOLDS])
def test_topic_of_which_one_partition_and_append_times_decide_is_an_error_with_others(name):
    by_the_log = {"message_timestamp_type": "LogAppendTime"}
    assert reported(topic(name, **by_the_log)) == []
    assert reported(Topic(name, exists=False)) == []
    assert reported(topic(name, message_timestamp_type="CreateTime")) == [
        error(
            f"{name} has message.timestamp.type=CreateTime, so producers' clocks would decide: set it to LogAppendTime."
        )
    ]
    several = reported(topic(name, copies=(3, 3), in_sync=(3, 3), **by_the_log))
    assert several == [error(f"{name} has several partitions, but one decides: delete it, and it is made with one.")]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (topic(PRESENCE, cleanup_policy="compact,delete", message_timestamp_type="LogAppendTime"), None),
        (Topic(PRESENCE, exists=False), None),
        (topic(PRESENCE, cleanup_policy="compact", message_timestamp_type="CreateTime"), "producers' clocks"),
        (topic(PRESENCE, cleanup_policy="delete"), "keeps all records"),
        (topic(PRESENCE, cleanup_policy="compact", operations=("READ",)), "counts its own clients alone"),
    ],
)
def test_topic_of_presence_is_compacted_and_has_the_times_of_the_log(found, words):
    sentences = [finding.sentence for finding in reported(found)]
    assert len(sentences) == (words is not None)
    assert all(words in sentence for sentence in sentences)


def test_rights_that_are_missing_are_named():
    [finding] = reported(topic(operations=("DESCRIBE",)))
    assert finding.is_error
    assert "may not read a: allow it READ" in finding.sentence
    publishing = Settings(kafka_topics=("a",), publish_token=ts.SecretStr("x"))
    assert reported(topic(operations=("READ",))) == []
    [finding] = reported(topic(operations=("READ",)), settings=publishing)
    assert not finding.is_error
    assert "POST /publish will be refused" in finding.sentence
    assert reported(topic(operations=None)) == [], "a broker that does not say so is no reason to worry"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (topic(cleanup_policy="compact"), "a keeps only the last record of each key"),
        (topic(cleanup_policy="compact,delete"), "a keeps only the last record of each key"),
        (topic(copies=(3, 3), in_sync=(3, 3)), "a has several partitions"),
        (topic(copies=(1,), in_sync=(1,), min_insync_replicas="1"), "a has one copy"),
        (topic(in_sync=(2,)), "a has no more copies in sync than min.insync.replicas"),
        (topic(in_sync=(1,)), "a has no more copies in sync than min.insync.replicas"),
        (topic(copies=(2,), in_sync=(2,)), "a has no more copies in sync than min.insync.replicas"),
    ],
)
def test_what_may_become_a_loss_is_a_warning(made, words):
    [finding] = reported(made)
    assert not finding.is_error
    assert finding.sentence.startswith(words)


def test_one_sentence_names_all_topics_that_it_is_about():
    one_copy = {"copies": (1,), "in_sync": (1,), "min_insync_replicas": "1"}
    [finding] = reported(topic("b", **one_copy), topic("a", **one_copy), topic("c"))
    assert finding == warning("a, b has one copy, and is lost with its broker: use a replication factor of 3.")


@pytest.mark.parametrize(
    ("made", "is_error", "words"),
    [
        (topic("state"), True, "state only grows"),
        (
            topic("state", operations=("DESCRIBE", "WRITE"), cleanup_policy="compact"),
            True,
            "lacks READ for CHECKPOINT_TOPIC",
        ),
        (topic("state", operations=("DESCRIBE",), cleanup_policy="compact"), True, "lacks READ and WRITE"),
        (topic("state", copies=(3, 3), in_sync=(3, 3), cleanup_policy="compact"), False, "has 2 partitions"),
        (Topic("state", trouble="Not authorized"), True, "Kafka says nothing of state"),
        (Topic("state", exists=False, operations=("READ",)), False, "may not create it"),
    ],
)
def test_checkpoint_topic_that_is_of_no_use_is_reported(made, is_error, words):
    [finding] = reported(made)
    assert finding.is_error is is_error
    assert words in finding.sentence


def test_checkpoint_topic_that_will_be_made_is_fine():
    assert reported(Topic("state", exists=False, operations=ALL)) == []


async def inspected(settings: Settings) -> Inspection:
    with trio.fail_after(PATIENCE):
        return await inspect_event_log(settings)


def allowed(operation: ACLOperation, name: str) -> ACL:
    pattern = ResourcePattern(ResourceType.TOPIC, name)
    return ACL(f"User:{SASL_USER}", "*", operation, ACLPermissionType.ALLOW, pattern)


@pytest.mark.kafka
async def test_a_broker_is_asked_and_nothing_is_made(kafka_broker: Broker):
    name, absent = f"test.inspected.{uuid4().hex}", f"test.absent.{uuid4().hex}"
    store = KafkaStore(kafka_broker.address)
    await store.administer(lambda admin: admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}))
    settings = store.settings(kafka_topics=(name, absent), checkpoint_topic=f"{name}.state")
    found = await inspected(settings)
    assert set(found.extents) == {Partition(name, 0), Partition(name, 1)}
    sentences = [finding.sentence for finding in found.findings]
    assert sentences[0] == f"these topics do not exist (yet): {absent}."
    assert [text.partition(" has ")[2].split(":")[0].split(",")[0] for text in sentences[1:]] == [
        "several partitions",
        "one copy",
    ]
    described = await store.administer(lambda admin: admin.describe_topics([absent, settings.checkpoint_topic]))
    assert all(topic["error_code"] for topic in described), "nothing is made"

    rules = [allowed(ACLOperation.DESCRIBE, name)]
    await store.administer(lambda admin: admin.create_acls(rules))
    mechanism = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"}
    who = {"kafka_sasl_username": SASL_USER, "kafka_sasl_password": ts.SecretStr(SASL_PASSWORD)}
    try:
        found = await inspected(
            store.settings(kafka_brokers=(kafka_broker.sasl_address,), kafka_topics=(name,), **mechanism, **who)
        )
    finally:
        await store.administer(lambda admin: admin.delete_acls(rules))
    assert found.findings[0] == error(
        f"our user may not read {name}: allow it READ, or leave them out of KAFKA_TOPICS."
    )


@pytest.mark.kafka
async def test_a_broker_that_is_not_there_is_reported():
    with pytest.raises(LogUnavailableError, match=r"Kafka does not answer at 127.0.0.1:9: nothing listens there"):
        await inspected(Settings(kafka_brokers=("127.0.0.1:9",)))
