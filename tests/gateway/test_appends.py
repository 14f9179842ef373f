"""What clients have the log take: in the log, and answered, whatever the log does."""

import orjson
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.services import Command
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.gateway.appends import Appends
from tests.core.world import World
from tests.fakes import LARGEST, FakeLog

TOPIC = topic_of("announcements")


def answer(result):
    said = {"offset": result.offset} if isinstance(result, Appended) else {"failed": type(result).__name__}
    return text_frame(orjson.dumps(said))


def command(value=b"{}"):
    return Command(NewRecord(TOPIC, value), answer)


class Clients(World):
    """Clients whose commands are appended to `log`."""

    def __init__(self, **bounds):
        super().__init__()
        self.log = FakeLog()
        self.appends = Appends(self.log, **bounds)
        self.services.append = self.appends.append


async def test_commands_are_appended_in_their_order_and_answered(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    one, other = clients.client(), clients.client()
    for number in range(3):
        one.append(command(b"%d" % number))
    other.append(command(b"3"))
    await wait_all_tasks_blocked()
    assert one.send_queue.said() == [{"offset": 0}, {"offset": 1}, {"offset": 2}]
    assert other.send_queue.said() == [{"offset": 3}]
    assert [record.value for record in clients.log.appended] == [b"0", b"1", b"2", b"3"]


async def test_what_the_log_refuses_is_answered_and_the_next_is_appended(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    client.append(command(b"x" * (LARGEST + 1)))
    client.append(command())
    await wait_all_tasks_blocked()
    assert client.send_queue.said() == [{"failed": RecordRejectedError.__name__}, {"offset": 0}]


async def test_when_the_log_does_not_answer_the_client_is_told(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    with clients.log.failing():
        client.append(command())
        await wait_all_tasks_blocked()
    client.append(command())
    await wait_all_tasks_blocked()
    assert client.send_queue.said() == [{"failed": LogUnavailableError.__name__}, {"offset": 0}]


async def test_an_append_without_an_end_is_given_up(nursery, autojump_clock):
    async def append(records):
        await trio.sleep_forever()

    clients = Clients(timeout=5.0)
    clients.log.append = append
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    client.append(command())
    await trio.sleep(4)
    assert client.send_queue.said() == []
    await trio.sleep(2)
    assert client.send_queue.said() == [{"failed": LogUnavailableError.__name__}]


async def test_only_so_many_commands_wait_for_the_log():
    clients = Clients(max_waiting=2)
    client = clients.client()
    for _ in range(3):
        client.append(command())
    assert client.send_queue.said() == [{"failed": LogUnavailableError.__name__}]
