"""What the pump enters into the books; what it moves is tested with the gateway."""

import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.event_log import Batch, Partition, Record, Sources
from mesaya_ws.core.feed import HEARING, Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.session import Limits
from mesaya_ws.core.window import Window
from mesaya_ws.metrics import Metrics
from mesaya_ws.pump import pump
from mesaya_ws.settings import Settings
from mesaya_ws.websocket.connection import Surroundings

STAYS, GOES = Partition("a", 0), Partition("b", 0)


async def test_what_is_no_more_does_not_lag(nursery):
    feed, metrics = Feed(Hub(), Window(300, 1000), 1.0), Metrics()
    around = Surroundings(Settings(), Limits(True, 10), feed, metrics, lambda _: None, lambda _: None)
    deliver, news = trio.open_memory_channel(1)
    nursery.start_soon(pump, news, around, trio.Event(), None)
    for lags in ({STAYS: 3, GOES: 1}, {STAYS: 2}):
        await deliver.send(Sources({}, lags))
        await wait_all_tasks_blocked()
        assert metrics.lag == lags


async def test_others_run_while_many_records_are_heard(nursery, monkeypatch):
    feed, turns, heard = Feed(Hub(), Window(300, 1000), 1.0), 0, []

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    def hear(news, now):
        if isinstance(news, Batch):
            heard.append((turns, len(news.records)))

    monkeypatch.setattr(feed, "hear", hear)
    around = Surroundings(Settings(), Limits(True, 10), feed, Metrics(), lambda _: None, lambda _: None)
    deliver, news = trio.open_memory_channel(10)
    for source, count in ((STAYS, 2 * HEARING + 1), (GOES, HEARING - 2), (GOES, 1)):
        deliver.send_nowait(Batch(source, [Record(*source, 0, 0, None, None)] * count, 0))
    nursery.start_soon(pump, news, around, trio.Event(), None)
    nursery.start_soon(count_turns)
    while len(heard) < 5:
        await trio.lowlevel.checkpoint()
    sizes = [size for _, size in heard]
    assert sizes == [HEARING, HEARING, 1, HEARING - 2, 1]
    first, second, *rest = [turn for turn, _ in heard]
    assert first < second < rest[0], "a turn for each of the full pieces"
    assert len(set(rest)) == 1, "and one for what is together no more than one of them"
