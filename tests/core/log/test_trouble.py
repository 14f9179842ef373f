from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.log.trouble import NAMED, REPORTED_AFTER, Hindrance, Parts, Trouble, lasting, of_kind, sentences

NOW = 1_800_000_000.0


def trouble(kind=Hindrance.UNKNOWN, number=0, topic="a", seconds=0):
    return Trouble(topic, number, kind, NOW, f"{topic} is {kind}.", seconds=seconds)


def test_a_part_is_a_partition_or_a_topic():
    parts = Parts([trouble(number=3), trouble(topic="b", number=None)])
    assert Partition("a", 3) in parts
    assert Partition("a", 4) not in parts
    assert Partition("b", 7) in parts
    assert parts
    assert not Parts()


def test_trouble_that_passes_soon_is_not_reported():
    for kind in (Hindrance.UNKNOWN, Hindrance.BLOCKED):
        assert lasting([trouble(kind, seconds=REPORTED_AFTER - 0.1)], starting=False) == []
        old = trouble(kind, seconds=REPORTED_AFTER)
        assert lasting([old], starting=False) == [old]
    for kind in (Hindrance.ABSENT, Hindrance.REFUSED):
        assert lasting([trouble(kind)], starting=False) == [trouble(kind)]


def test_who_starts_says_at_once_what_is_waited_for():
    assert lasting([trouble()], starting=True) == [trouble()]
    assert lasting([trouble(Hindrance.BLOCKED)], starting=True) == []


def test_kinds_of_trouble_are_distinguished():
    all_kinds = [trouble(kind) for kind in Hindrance]
    assert of_kind(all_kinds, Hindrance.BLOCKED, Hindrance.ABSENT) == [
        trouble(Hindrance.ABSENT),
        trouble(Hindrance.BLOCKED),
    ]


def test_sentences_name_a_few_and_count_the_others():
    assert sentences([trouble()]) == ["a is unknown. (Since 2027-01-15T08:00:00+00:00.)"]
    many = sentences([trouble(number=number) for number in range(NAMED + 7)])
    assert len(many) == NAMED + 1
    assert many[-1].startswith("7 more parts")
