"""What the pump enters into the books; what it moves is tested with the gateway."""

import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.event_log import Partition, Sources
from mesaya_ws.core.feed import Feed
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
