"""What `mesaya-ws check` says of the topics: rights, replicas, order, retention. Nothing is created or changed."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from time import monotonic
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import AuthorizationError, KafkaError, UnknownTopicOrPartitionError, for_code

from mesaya_ws.core.interactions.topics import APPEND_TIMES, ONE_PARTITION, PRESENCE
from mesaya_ws.core.log.inspection import Finding, Inspection, error, warning
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.trouble import NAMED, Hindrance
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.eventlog.kafka.diagnosis import capture_client_logs, reason
from mesaya_ws.eventlog.kafka.driver.clients import Clients, connection_options
from mesaya_ws.eventlog.kafka.metadata import fetch_metadata
from mesaya_ws.eventlog.kafka.topic_admin import BY_THE_LOG, TIMESTAMP_TYPE, wrong_time
from mesaya_ws.settings import Settings, followed


class Topic(NamedTuple):
    """A topic as the brokers describe it.

    `trouble` is why they refuse to describe it, or None. `copies` is the number of replicas of each partition, and
    `in_sync` of those that are up to date. `operations` are what we may do, None when that is not known. `configs` are
    empty when we may not see them.
    """

    name: str
    exists: bool = True
    trouble: str | None = None
    copies: Sequence[int] = ()
    in_sync: Sequence[int] = ()
    operations: Collection[str] | None = None
    configs: Mapping[str, str] = {}

    def allows(self, operation: str) -> bool:
        """Return whether we may do `operation`, or it is not known that we may not."""
        return self.operations is None or operation in self.operations


def inspect(settings: Settings) -> Inspection:
    """Examine all configured topics. Raises `LogUnavailableError`, `SettingsError`. Must run in a thread."""
    capture_client_logs()
    options, started = connection_options(settings), monotonic()
    own = (settings.checkpoint_topic, PRESENCE if settings.presence_channels else "")
    names = dict.fromkeys((*followed(settings), *filter(None, own)))
    try:
        with closing(Clients(options)) as clients:
            admin = clients.admin()
            topics = _described(admin, list(names))
            metadata = fetch_metadata(admin, followed(settings))
    except KafkaError as failure:
        raise LogUnavailableError(reason(options, started)) from failure
    unknown = [error(finding.reason) for finding in metadata.findings_of(Hindrance.UNKNOWN)]
    if len(unknown) > NAMED:
        unknown[NAMED:] = [error(f"{len(unknown) - NAMED} more partitions cannot be asked.")]
    return Inspection(metadata.extents, [*findings(topics, settings), *unknown])


def _described(admin: KafkaAdminClient, names: list[str]) -> list[Topic]:
    topics = []
    for described in admin.describe_topics(names):
        failure = for_code(described["error_code"]) if described["error_code"] else None
        exists = failure is not UnknownTopicOrPartitionError
        topics.append(
            Topic(
                described["name"],
                exists,
                None if failure is None or not exists else str(failure.description or failure.__name__),
                [len(partition["replica_nodes"]) for partition in described["partitions"]],
                [len(partition["isr_nodes"]) for partition in described["partitions"]],
                described.get("authorized_operations"),
                _configs(admin, described["name"]) if failure is None else {},
            )
        )
    return topics


def _configs(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    try:
        found: Any = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    except AuthorizationError:
        return {}
    return {name: config["value"] for name, config in found["topic"][topic].items()}


def findings(topics: Collection[Topic], settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with `topics`, one sentence for all topics with the same fault."""
    state = [topic for topic in topics if topic.name == settings.checkpoint_topic]
    events = [topic for topic in topics if topic.name not in (settings.checkpoint_topic, PRESENCE)]

    def named(is_so: Callable[[Topic], bool], among: Collection[Topic] = events) -> str:
        return ", ".join(sorted(topic.name for topic in among if topic.exists and is_so(topic)))

    made_later = (PARENTS_TOPIC, *APPEND_TIMES)
    absent = sorted(topic.name for topic in events if not topic.exists and topic.name not in made_later)
    if absent:
        yield error(f"these topics do not exist (yet): {', '.join(absent)}.")
    for topic in topics:
        if topic.trouble is not None:
            yield error(f"Kafka says nothing of {topic.name}: {topic.trouble}. Allow our user READ and DESCRIBE.")
    if names := named(lambda topic: topic.trouble is None and not topic.allows("READ")):
        yield error(f"our user may not read {names}: allow it READ, or leave them out of KAFKA_TOPICS.")
    if settings.publish_token and (names := named(lambda topic: not topic.allows("WRITE"))):
        yield warning(f"our user may not write to {names}: POST /publish will be refused there. Allow it WRITE.")
    if names := named(lambda topic: "compact" in topic.configs.get("cleanup.policy", "")):
        yield warning(f"{names} keeps only the last record of each key, so events vanish: set cleanup.policy=delete.")
    for topic in events:
        kind = topic.configs.get(TIMESTAMP_TYPE, BY_THE_LOG)
        if topic.name in APPEND_TIMES and topic.exists and kind != BY_THE_LOG:
            yield error(wrong_time(topic.name, kind))
        if topic.name in ONE_PARTITION and len(topic.copies) > 1:
            yield error(f"{topic.name} has several partitions, but one decides: delete it, and it is made with one.")
    if names := named(lambda topic: len(topic.copies) > 1 and topic.name not in ONE_PARTITION):
        yield warning(
            f"{names} has several partitions: records of one entity keep their order only if its id is their key."
        )
    if names := named(lambda topic: 1 in topic.copies, topics):
        yield warning(f"{names} has one copy, and is lost with its broker: use a replication factor of 3.")
    if names := named(_is_short_of_copies, topics):
        yield warning(
            f"{names} has no more copies in sync than min.insync.replicas: if one more broker goes, nothing can be "
            "written. Start the brokers that are missing, or add replicas."
        )
    for topic in state:
        yield from _checkpoint_topic_findings(topic)
    for topic in topics:
        if topic.name == PRESENCE and topic.exists:
            yield from _presence_topic_findings(topic)


def _presence_topic_findings(topic: Topic) -> Iterator[Finding]:
    """Yield what keeps instances from counting their clients together; nothing else depends on it."""
    kind = topic.configs.get(TIMESTAMP_TYPE, BY_THE_LOG)
    if kind != BY_THE_LOG:
        yield error(wrong_time(topic.name, kind))
    if not (topic.allows("READ") and topic.allows("WRITE")):
        yield warning(
            f"our user may not read and write {topic.name}: each instance counts its own clients alone. Allow it both."
        )
    if "compact" not in topic.configs.get("cleanup.policy", "compact"):
        yield warning(f"{topic.name} keeps all records, which every start reads: set cleanup.policy=compact,delete.")


def _is_short_of_copies(topic: Topic) -> bool:
    least = int(topic.configs.get("min.insync.replicas", "0"))
    pairs = zip(topic.copies, topic.in_sync, strict=True)
    return any(copies > 1 and in_sync <= least for copies, in_sync in pairs)


def _checkpoint_topic_findings(topic: Topic) -> Iterator[Finding]:
    if not topic.exists:
        if not topic.allows("CREATE"):
            yield warning(f"CHECKPOINT_TOPIC {topic.name} does not exist, and our user may not create it.")
        return
    missing = [operation for operation in ("READ", "WRITE") if not topic.allows(operation)]
    if topic.trouble is None and missing:
        yield error(
            f"our user lacks {' and '.join(missing)} for CHECKPOINT_TOPIC {topic.name}: no checkpoints without."
        )
    if "compact" not in topic.configs.get("cleanup.policy", "compact"):
        yield error(f"{topic.name} only grows: give it cleanup.policy=compact.")
    if len(topic.copies) > 1:
        yield warning(f"CHECKPOINT_TOPIC {topic.name} has {len(topic.copies)} partitions, and needs one.")
