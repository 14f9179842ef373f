"""What a look at Kafka makes of the answers of brokers, partition by partition; without a broker."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from kafka import TopicPartition
from kafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    NoError,
    NotLeaderForPartitionError,
    OffsetNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownBrokerIdError,
    UnknownError,
    UnknownTopicOrPartitionError,
)
from kafka.future import Future

from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.contacts import CONTACTS, Contact
from mesaya_ws.eventlog.kafka.metadata import Metadata, fetch_metadata

BEGIN, END, READABLE = -2, (-1, 0), (-1, 1)
ALL = ["READ", "DESCRIBE"]


@attrs.define
class Part:
    """A partition as its leader answers: offsets, or the errors that it answers with."""

    begin: Any = 0
    end: Any = 0
    readable: Any = 0
    leader: int = 1

    def answer(self, timestamp: int, isolation: int) -> tuple[type[Exception], int]:
        said = self.begin if timestamp == BEGIN else self.readable if isolation else self.end
        return (NoError, said) if isinstance(said, int) else (said, -1)


@attrs.frozen
class Node:
    host: str
    port: int = 9092


@attrs.define
class Admin:
    """An admin client of brokers that hold `topics`; the leaders `away` do not answer."""

    topics: Mapping[str, list[Part]]
    errors: Mapping[str, type[Exception]] = attrs.Factory(dict)
    allowed: list[str] = attrs.Factory(lambda: list(ALL))
    away: Mapping[int, Exception] = attrs.Factory(dict)
    requests: list[Any] = attrs.Factory(list)
    updates: int = 0

    @property
    def _manager(self) -> "Admin":
        return self

    cluster = _manager

    def broker_metadata(self, node_id: int) -> "Node":
        return Node(f"broker{node_id}.test")

    def request_update(self) -> None:
        self.updates += 1

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "error_code": self.errors.get(name, NoError).errno,
                "topic_id": f"id of {name}",
                "authorized_operations": self.allowed,
                "partitions": [
                    {"partition_index": number, "leader_id": part.leader}
                    for number, part in enumerate(self.topics.get(name, ()))
                ],
            }
            for name in names
        ]

    def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            work(*arguments).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("all answers are there")

    def _list_partition_offsets_request(self, wanted: Mapping[TopicPartition, int], isolation: int) -> Any:
        return wanted, isolation

    def send(self, request: Any, node_id: int) -> Future:
        self.requests.append((node_id, request))
        if isinstance(self.away.get(node_id), NodeNotReadyError | UnknownBrokerIdError):
            raise self.away[node_id]
        if node_id in self.away:
            return Future().failure(self.away[node_id])
        wanted, isolation = request
        return Future().success(Answer.of(self.topics, wanted, isolation))


@attrs.define
class Answer:
    """As brokers answer where partitions begin or end."""

    topics: list[Any]
    name: str = ""
    partitions: list[Any] = attrs.Factory(list)
    partition_index: int = 0
    error_code: int = 0
    offset: int = 0

    @classmethod
    def of(cls, topics: Mapping[str, list[Part]], wanted: Mapping[TopicPartition, int], isolation: int) -> "Answer":
        answered = []
        for (topic, number), spec in wanted.items():
            error, offset = topics[topic][number].answer(int(spec), isolation)
            answered.append(cls([], topic, [cls([], "", [], number, error.errno, offset)]))
        return cls(answered)


def metadata(topics: Mapping[str, list[Part]], **others: Any) -> Metadata:
    return fetch_metadata(Admin(topics, **others), [*topics, *others.get("errors", {})])


def kinds(found: Metadata) -> list[tuple[str, int | None, Hindrance]]:
    return [(topic, number, kind) for topic, number, kind, _ in found.findings]


def test_the_end_is_what_is_acknowledged_and_not_what_can_be_read():
    found = metadata({"a": [Part(2, 9, 5)], "b": [Part(0, 3, 3)]})
    assert found.extents == {
        Partition("a", 0): OffsetRange(2, 9, "id of a"),
        Partition("b", 0): OffsetRange(0, 3, "id of b"),
    }
    assert found.readable == {Partition("a", 0): 5, Partition("b", 0): 3}
    assert found.findings == []
    assert not found.is_partial


def test_what_is_committed_between_two_answers_is_not_blocked():
    found = metadata({"a": [Part(0, 3, 4)]})
    assert found.extents[Partition("a", 0)].end == found.readable[Partition("a", 0)] == 4


def test_a_partition_without_a_leader_exists_and_is_not_known():
    found = metadata({"a": [Part(0, 3, 3, leader=-1), Part(0, 4, 4)]})
    assert set(found.extents) == {Partition("a", 1)}
    assert set(found.existing) == {Partition("a", 0), Partition("a", 1)}
    assert kinds(found) == [("a", 0, Hindrance.UNKNOWN)]
    assert "no leader" in found.findings[0].reason
    assert found.is_partial


@pytest.mark.parametrize("error", [NotLeaderForPartitionError, UnknownError, OffsetNotAvailableError])
def test_one_partition_that_cannot_be_asked_says_nothing_of_the_others(error: type[Exception]):
    found = metadata({"a": [Part(3, error, error)], "b": [Part(0, 3, 3)]})
    assert set(found.extents) == {Partition("b", 0)}
    assert kinds(found) == [("a", 0, Hindrance.UNKNOWN)]
    assert "partition 0 of a" in found.findings[0].reason
    assert found.begun == {Partition("a", 0): PartitionPosition("id of a", 3)}, "it can be read from there on"
    found = metadata({"a": [Part(error, error, error)], "b": [Part(0, 3, 3)]})
    assert found.begun == {}


@pytest.mark.parametrize("failure", [KafkaConnectionError("gone"), NodeNotReadyError("backing off")])
def test_a_leader_that_does_not_answer_hides_only_what_it_leads(failure: Exception):
    found = metadata({"a": [Part(leader=1), Part(leader=2)], "b": [Part(leader=2)]}, away={2: failure})
    assert set(found.extents) == {Partition("a", 0)}
    assert kinds(found) == [("a", 1, Hindrance.UNKNOWN), ("b", 0, Hindrance.UNKNOWN)]


def test_a_leader_unknown_to_the_client_is_asked_about():
    admin = Admin({"a": [Part()]}, away={1: UnknownBrokerIdError(1)})
    assert fetch_metadata(admin, ["a"]).is_partial
    assert admin.updates > 0


def test_all_leaders_are_asked_before_the_first_answer_is_waited_for():
    admin = Admin({"a": [Part(leader=number) for number in range(5)]})
    assert not fetch_metadata(admin, ["a"]).findings
    assert len(admin.requests) == 5 * 3


def test_a_topic_that_does_not_exist_is_not_one_that_may_not_be_asked_for():
    errors = {
        "absent": UnknownTopicOrPartitionError,
        "secret": TopicAuthorizationFailedError,
        "odd": UnknownError,
    }
    found = metadata({"a": [Part()]}, errors=errors)
    assert kinds(found) == [
        ("absent", None, Hindrance.ABSENT),
        ("secret", None, Hindrance.REFUSED),
        ("odd", None, Hindrance.UNKNOWN),
    ]
    assert set(found.extents) == {Partition("a", 0)}


@pytest.mark.parametrize(("allowed", "is_refused"), [(ALL, False), (["DESCRIBE"], True), ([], False)])
def test_right_to_read_is_known_from_brokers_that_report_rights(allowed: list[str], is_refused: bool):
    found = metadata({"a": [Part(0, 4, 4)]}, allowed=allowed)
    assert kinds(found) == [("a", None, Hindrance.REFUSED)] * is_refused
    assert set(found.extents) == {Partition("a", 0)}, "what there is, is known all the same"


def test_the_right_to_ask_may_be_refused_for_a_partition():
    found = metadata({"a": [Part(TopicAuthorizationFailedError, 0, 0)]})
    assert kinds(found) == [("a", 0, Hindrance.REFUSED)]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("DNS Resolution failure", "that name cannot be resolved here"),
        ("111 ECONNREFUSED", "nothing listens there"),
        ("", "it does not answer"),
    ],
)
def test_leader_that_cannot_be_reached_is_named_with_its_address_and_why(failure: str, words: str):
    CONTACTS.note(Contact("broker7.test:9092", "", failure, 0.0))
    found = metadata({"a": [Part(leader=7)]}, away={7: NodeNotReadyError("7")})
    [finding] = found.findings
    assert finding.reason == (
        "Partition 0 of a cannot be asked: Kafka names broker7.test:9092 as the address of the broker that leads it, "
        f"but {words}. Start that broker, or correct its advertised.listeners."
    )
