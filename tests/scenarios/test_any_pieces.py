"""In whatever pieces the feed takes a record, the same is published, and the same is known of who comes back."""

from contextlib import ExitStack
from random import Random
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.feed import pieces, record_processor, router
from mesaya_ws.core.views import contents, floor_plan, images, restaurants
from mesaya_ws.core.wire.frames import payload_of
from tests.scenarios.test_any_order import CHANNELS, PARTITIONS, Instance, arrivals, more, story
from tests.support.log import Log


def in_pieces_of(size):
    """Return a context in which nothing is so small that it is taken in one go."""
    patches = ExitStack()
    for module in (record_processor, pieces, router, floor_plan, images, restaurants):
        patches.enter_context(mock.patch.object(module, "PARTS_AT_ONCE", size))
    patches.enter_context(mock.patch.object(record_processor, "DECODED_EARLY", 1))
    patches.enter_context(mock.patch.object(contents, "READ_AT_ONCE", size * contents.COSTLY))
    return patches


def published(instance):
    window = instance.feed.window
    kept = [(channel, one) for channel, one in window._order if one.serial > window.evicted]
    return [(channel, one.partition, one.offset, orjson.loads(payload_of(one.frame))) for channel, one in kept]


def verdicts(instance, positions):
    coverage = instance.feed.coverage
    return [
        coverage.check(channel, position)
        for channel, each in zip(CHANNELS, positions, strict=True)
        for position in each
    ]


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
@given(seed=st.integers(0, 2**32))
def test_in_whatever_pieces_a_record_is_taken_the_same_is_published(size, seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 20)
    more(log, random, 5)
    records = arrivals(log.records, random)
    whole, other = Instance(log).begin(), Instance(log).begin().take(arrivals(log.records, random))
    positions = [[] for _ in CHANNELS]
    for record in records:
        whole.take([record])
        for channel, each in zip(CHANNELS, positions, strict=True):
            each.append(whole.feed.position(channel))
    for channel, each in zip(CHANNELS, positions, strict=True):
        each.append(other.feed.position(channel))
    with in_pieces_of(size):
        pieced = Instance(log).begin().take(records)
    assert published(pieced) == published(whole)
    assert pieced.states() == whole.states()
    assert verdicts(pieced, positions) == verdicts(whole, positions)
