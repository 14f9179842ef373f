import orjson
import pytest
import trio

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.server.publishing import Publisher, UnknownTopicError, UnusableRecordError
from tests.fakes import FakeLog

REVIEW = {"event_type": "created", "entity_id": "v1", "data": {"restaurantId": "r1"}}


def record(value=None, **changed):
    return NewRecord(topic_of("reviews"), orjson.dumps(REVIEW | changed if value is None else value), None)


@pytest.fixture
def log():
    return FakeLog()


async def test_record_is_appended_and_its_place_returned(log):
    place = await Publisher(log, TOPICS).publish(record())
    assert (place.topic, place.partition, place.offset) == (topic_of("reviews"), 0, 0)
    assert [orjson.loads(appended.value) for appended in log.appended] == [REVIEW]


async def test_topic_that_is_not_followed_is_refused(log):
    with pytest.raises(UnknownTopicError, match="none of KAFKA_TOPICS"):
        await Publisher(log, (topic_of("menus"),)).publish(record())
    assert log.appended == []


@pytest.mark.parametrize(
    "unusable",
    [
        record([]),
        record("x"),
        record(event_type=7),
        record(entity_id="no id"),
        record(data={"restaurantId": [1]}),
    ],
)
async def test_record_that_nobody_would_receive_is_refused_with_a_sentence(log, unusable):
    with pytest.raises(UnusableRecordError) as caught:
        await Publisher(log, TOPICS).publish(unusable)
    assert str(caught.value).endswith(".")
    assert log.appended == []


def test_whatever_is_refused_is_a_record_rejected():
    """So who publishes for a client need not know whether the log or the publisher refused it."""
    assert issubclass(UnknownTopicError, RecordRejectedError)
    assert issubclass(UnusableRecordError, RecordRejectedError)


async def test_log_that_does_not_acknowledge_is_unavailable_in_time(log, autojump_clock):
    log.hang()
    with pytest.raises(LogUnavailableError, match=r"may or may not have been appended\.$"):
        await Publisher(log, TOPICS, timeout=5).publish(record())
    assert trio.current_time() == pytest.approx(5)


async def test_log_that_is_away_says_why(log):
    with log.failing("Connection refused."), pytest.raises(LogUnavailableError, match=r"\. Connection refused\.$"):
        await Publisher(log, TOPICS).publish(record())
