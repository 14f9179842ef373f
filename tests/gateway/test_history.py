from itertools import pairwise

import trio

from mesaya_ws.core.recovery.replay import PAGE_BYTES
from mesaya_ws.gateway.history import ANSWERS, BATCH, HistoryReader
from tests.support.instance import KEPT, KeepingWorld, ask, read_on, reservations
from tests.timing import PATIENCE


class FakeKeeper:
    """Reads from a world's store, and counts how often."""

    def __init__(self, world):
        self.world = world
        self.reads = 0
        self.looks = []
        self.is_broken = self.is_failing = False
        self.commits = 0

    async def commit_now(self):
        self.commits += 1
        self.world.commit()

    async def read(self, look):
        self.reads += 1
        self.looks.append(look)
        await trio.lowlevel.checkpoint()
        return None if self.is_broken else look(self.world.store)


class Readers:
    """A world whose sessions have a reader."""

    def __init__(self, nursery, **options):
        self.world = KeepingWorld(**options)
        self.keeper = FakeKeeper(self.world)
        self.reader = HistoryReader(self.keeper, self.world.feed)
        self.world.services.read_history = self.reader.request
        self.start = ask(self.client(), channel=KEPT)[0]["position"]
        nursery.start_soon(self.reader.run)

    def client(self):
        return self.world.client(auth=False)

    def fill(self, count, size=0):
        for number in range(count):
            self.world.review(number, size=size)
        self.world.commit()

    async def come_back(self, count):
        sessions = [self.client() for _ in range(count)]
        for session in sessions:
            assert ask(session, channel=KEPT, position=self.start) == []
        await self.until_read(sessions)
        return sessions

    async def until_read(self, sessions):
        with trio.fail_after(PATIENCE):
            while any(session.delivery.awaits_history for session in sessions):
                await trio.lowlevel.checkpoint()


async def read_all(session):
    messages = session.send_queue.said()
    with trio.fail_after(PATIENCE):
        while session.delivery.unsettled:
            read_on(session)
            messages += session.send_queue.said()
            await trio.lowlevel.checkpoint()
    return messages


async def test_who_comes_back_together_is_read_for_together(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(3)
    sessions = await readers.come_back(2 * BATCH)
    assert readers.keeper.reads == 2
    for session in sessions:
        assert reservations(await read_all(session)) == ["v0", "v1", "v2"]
    nursery.cancel_scope.cancel()


async def test_pages_follow_each_other_until_the_channel_is_live(nursery):
    readers = Readers(nursery, max_bytes=3 * PAGE_BYTES)
    readers.fill(20, size=PAGE_BYTES // 2)
    [session] = await readers.come_back(1)
    assert reservations(await read_all(session)) == [f"v{number}" for number in range(20)]
    readers.world.review(20)
    assert reservations(session.send_queue.said()) == ["v20"]
    nursery.cancel_scope.cancel()


async def test_each_client_is_answered_with_the_page_of_its_own_channel(nursery):
    readers, other = Readers(nursery, max_bytes=1), "restaurant:r2:reservations"
    starts = {KEPT: readers.start, other: ask(readers.client(), channel=other)[0]["position"]}
    for number, restaurant in enumerate(("r1", "r2", "r1")):
        readers.world.review(number, restaurant=restaurant)
    readers.world.commit()
    sessions = {channel: readers.client() for channel in starts}
    for channel, session in sessions.items():
        assert ask(session, channel=channel, position=starts[channel]) == []
    await readers.until_read(sessions.values())
    missed = {channel: reservations(await read_all(session)) for channel, session in sessions.items()}
    assert missed == {KEPT: ["v0", "v2"], other: ["v1"]}
    assert readers.keeper.reads == 1
    nursery.cancel_scope.cancel()


async def test_who_has_no_answer_goes_before_who_reads_on_but_leaves_room(nursery):
    readers = Readers(nursery, max_bytes=3 * PAGE_BYTES)
    readers.fill(20, size=PAGE_BYTES // 2)
    reading_on = await readers.come_back(2 * BATCH)
    readers.keeper.looks.clear()
    for session in reading_on:
        read_on(session)
    await readers.come_back(BATCH)
    first, second, *_ = ([request.opens for request in look.keywords["requests"]] for look in readers.keeper.looks)
    assert first == [True] * ANSWERS + [False] * (BATCH - ANSWERS)
    assert second == [True] * (BATCH - ANSWERS) + [False] * ANSWERS
    nursery.cancel_scope.cancel()


async def test_no_more_than_a_page_is_handed_out_before_others_have_their_turn(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(3)
    sessions = [readers.client() for _ in range(2 * BATCH)]
    for session in sessions:
        ask(session, channel=KEPT, position=readers.start)
    waiting = [2 * BATCH]
    with trio.fail_after(PATIENCE):
        while waiting[-1]:
            await trio.lowlevel.checkpoint()
            waiting.append(sum(session.delivery.awaits_history for session in sessions))
    # In two turns, whose tasks run in any order, the reader has two between ours.
    assert max(before - after for before, after in pairwise(waiting)) <= 2
    nursery.cancel_scope.cancel()


async def test_page_is_sent_when_the_record_that_is_being_published_has_ended(nursery):
    """It may be one that takes the right away."""
    readers = Readers(nursery, max_bytes=1)
    readers.fill(1)
    session, leftovers = readers.client(), readers.world.feed.progress.leftovers
    ask(session, channel=KEPT, position=readers.start)
    leftovers.append(iter(()))
    with trio.fail_after(PATIENCE):
        while not readers.keeper.reads:
            await trio.lowlevel.checkpoint()
    for _ in range(20):  # turns, in each of which the reader looks
        await trio.lowlevel.checkpoint()
    assert session.send_queue.said() == []
    leftovers.clear()
    await readers.until_read([session])
    assert reservations(session.send_queue.said()) == ["v0"]
    nursery.cancel_scope.cancel()


async def test_what_the_window_has_lost_before_it_was_written_is_committed_first(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(2)
    readers.world.review(2)
    [session] = await readers.come_back(1)
    assert readers.keeper.commits == 1
    assert reservations(await read_all(session)) == ["v0", "v1", "v2"]
    nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_written_is_not_waited_for(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(2)
    readers.world.review(2)
    readers.keeper.is_failing = True
    [session] = await readers.come_back(1)
    answer, _ = session.send_queue.said()
    assert (answer["recovered"], answer["reason"]) == (False, "expired")
    nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_read_is_answered_with_the_state(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(3)
    readers.keeper.is_broken = True
    [session] = await readers.come_back(1)
    answer, snapshot = session.send_queue.said()
    assert (answer["recovered"], answer["reason"], snapshot["type"]) == (False, "expired", "snapshot")
    nursery.cancel_scope.cancel()


async def test_page_read_before_the_history_began_anew_is_not_sent(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(3)
    look = readers.keeper.read

    async def read_and_restart(job):
        found = await look(job)
        readers.world.feed.history.restart()
        return found

    readers.keeper.read = read_and_restart
    [session] = await readers.come_back(1)
    answer, _ = session.send_queue.said()
    assert (answer["recovered"], answer["reason"]) == (False, "expired")
    nursery.cancel_scope.cancel()


async def test_what_was_read_at_the_start_is_committed_before_it_is_read_from_the_store(nursery):
    readers = Readers(nursery, max_bytes=1)
    for number in range(3):
        readers.world.review(number)
    readers.world.feed.history.anew = True  # as before the first commit
    [session] = await readers.come_back(1)
    assert [readers.keeper.commits, readers.keeper.reads] == [1, 1]
    answer, *_ = session.send_queue.said()
    assert answer["recovered"], answer
    nursery.cancel_scope.cancel()


async def test_who_has_left_is_not_read_for(nursery):
    readers = Readers(nursery, max_bytes=1)
    readers.fill(3)
    session = readers.client()
    ask(session, channel=KEPT, position=readers.start)
    session.leave()
    await trio.testing.wait_all_tasks_blocked()
    assert readers.keeper.reads == 0
    nursery.cancel_scope.cancel()
