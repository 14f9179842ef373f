"""What one process's clients are sent of who is where; `others` is another process, on the same log."""

import pytest

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.presence import TYPING_FOR
from mesaya_ws.core.interactions.presence_own import EVERY
from mesaya_ws.core.interactions.presence_pace import FALL, OFTEN, SELDOM
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.session.authenticating import end_identity, identify
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.presence import LINGER
from mesaya_ws.core.session.presence_watch import PER_SECOND, RETRY, TOGETHER
from mesaya_ws.core.wire.frames import text_frame
from tests.support.instance import a_feed, a_session, ask, work
from tests.support.log import NOW
from tests.support.presence import SharedLog, subscribe, typing
from tests.support.presence import sent as sent_on

TABLES = "restaurant:r1:tables"
CHAT = "restaurant:r1:chat:u1"


@pytest.fixture
def log():
    return SharedLog()


@pytest.fixture
def here(log):
    return log.process()


@pytest.fixture
def there(log):
    return log.process()


def sent(session, channel=TABLES):
    return sent_on(session, channel)


def test_client_that_asks_is_sent_the_number_with_the_answer_and_when_it_changes(log, here):
    client = here.client()
    written = []
    client.send_queue.offer = lambda data, messages: written.append((data, messages))
    subscribe(client, TABLES, presence=True)
    [(data, messages)] = written
    assert messages == 2, "one write"
    del client.send_queue.offer
    client.send_queue.offer(data, messages)
    assert [message["type"] for message in client.send_queue.said()] == ["subscribed", "presence"]
    other = here.viewer(TABLES)
    assert sent(other) == [2]
    other.leave()
    log.passes(FALL + OFTEN)
    assert sent(client) == []
    here.viewer(TABLES, asks=False)
    log.work()
    assert sent(client) == [], "it is too early for another message"
    log.passes(OFTEN)
    assert sent(client) == [2]
    log.passes(60_000)
    assert sent(client) == []


def test_of_many_clients_that_have_a_snapshot_first_one_is_sent_the_number_at_once_and_others_together(log, here):
    waiting, times = {}, []
    for number in range(50):
        channel = f"restaurant:r{number}:tables"
        waiting[channel] = here.client()
        subscribe(waiting[channel], channel, snapshot=True, presence=True)
        log.work()
        if informed := [name for name, client in waiting.items() if sent(client, name) == [1]]:
            times.append(log.now)
        for name in informed:
            del waiting[name]
        log.now += TOGETHER // 10
    assert times == [0, TOGETHER, 2 * TOGETHER, 3 * TOGETHER, 4 * TOGETHER]
    log.work()
    assert [sent(client, name) for name, client in waiting.items()] == [[1]] * 9


def test_client_that_does_not_ask_is_sent_nothing(log, here):
    client = here.viewer(TABLES, asks=False)
    here.viewer(TABLES)
    log.passes(20_000)
    assert sent(client) == []


def test_nothing_is_appended_as_long_as_nobody_asks(log, here, there):
    here.viewer(TABLES, asks=False)
    there.viewer(TABLES, asks=False)
    log.passes(60_000)
    assert log.records == []


def test_viewers_of_all_processes_count_whoever_of_them_asks(log, here, there):
    there.viewer(TABLES, asks=False)
    client = here.viewer(TABLES)
    log.passes(3 * OFTEN)
    assert sent(client) == [1, 2]
    late = there.viewer(TABLES)
    log.work()
    assert sent(late) == [3]


def test_subscription_that_does_not_ask_wakes_nobody_where_nobody_does(here):
    wakes = []
    here.presence.on_due = lambda: wakes.append(True)
    client = here.viewer(TABLES, "u1", asks=False)
    ask(client, "unsubscribe", channel=TABLES)
    here.viewer(TABLES, asks=False).leave()
    assert wakes == []


def test_client_that_is_sent_what_it_missed_or_waits_for_a_snapshot_is_a_viewer(log, here):
    client = here.viewer(TABLES)
    replaying, rendering = here.client(), here.client()
    for session in replaying, rendering:
        session.send_queue.backlogged = True
        ask(session, channel=TABLES, snapshot=True)
    assert not replaying.is_settled
    log.passes(OFTEN)
    assert sent(client) == [1, 3]
    replaying.leave()
    rendering.send_queue.backlogged = False
    rendering.delivery.resume()
    assert rendering.is_settled
    log.passes(FALL + OFTEN)
    assert sent(client) == [2]


def test_slow_client_that_conflates_is_a_viewer_for_as_long_as_it_is_slow(log, here):
    client, slow = here.viewer(TABLES), a_session(here.feed, auth=False, presence=here.presence, conflate=True)
    ask(slow, channel=TABLES)
    log.passes(OFTEN)
    assert sent(client) == [1, 2]
    slow.send_queue.backlogged = True
    here.feed.hub.publish(TABLES, text_frame(b'{"type": "any"}'), 0, 1)
    list(here.feed.hub.fan_out())
    assert not slow.is_settled
    log.passes(FALL + OFTEN)
    assert sent(client) == []


def test_channel_that_was_asked_about_before_others_is_forgotten_when_there_are_too_many(log):
    here = log.process(most=2)
    channels = [f"restaurant:r{number}:tables" for number in range(4)]
    for channel in channels:
        here.viewer(channel).leave()
    log.passes(OFTEN)
    there = log.process()
    log.work()
    assert [there.presence._others.is_asked(channel) for channel in channels] == [False, False, True, True]


def test_fall_is_sent_ten_seconds_later_and_who_comes_back_has_never_left(log, here):
    client, other = here.viewer(TABLES), here.viewer(TABLES)
    log.passes(OFTEN)
    assert sent(client) == [1, 2]
    other.leave()
    log.passes(FALL - 1000)
    here.viewer(TABLES)
    log.passes(FALL)
    assert sent(client) == []


def test_users_count_and_not_their_tabs_also_on_different_processes(log, here, there):
    client = here.viewer(TABLES, user="u1")
    here.viewer(TABLES, user="u1")
    there.viewer(TABLES, user="u1")
    there.viewer(TABLES, user="u2")
    log.passes(3 * OFTEN)
    assert sent(client) == [1, 2]


def test_number_changes_with_who_a_client_is(log, here):
    client = here.viewer(TABLES, user="u1")
    other = here.viewer(TABLES)
    log.passes(OFTEN)
    assert sent(client) == [1, 2]
    identify(other, Identity("u1", ()), 0)
    log.passes(FALL + OFTEN)
    assert sent(client) == [1]
    end_identity(other, "signed_out", 0)
    log.passes(OFTEN)
    assert sent(client) == [2]


def test_subscription_that_ends_or_is_made_again_without_asking_is_sent_nothing_more(log, here):
    client, other = here.viewer(TABLES), here.viewer(TABLES)
    log.work()
    ask(client, "unsubscribe", channel=TABLES)
    ask(other, channel=TABLES)
    here.viewer(TABLES)
    log.passes(20_000)
    assert sent(client) == sent(other) == []


def test_silent_process_is_dropped_within_twenty_seconds(log, here, there):
    client = here.viewer(TABLES)
    there.viewer(TABLES)
    log.passes(2 * OFTEN)
    assert sent(client) == [1, 2]
    log.kill(there)
    log.passes(20_000)
    assert sent(client) == [1]
    assert [record.key for record in here.presence.take_silent()] == [b"p1/0"]
    assert not here.presence.has_silent


def test_process_that_ends_in_order_is_gone_with_its_tombstone(log, here, there):
    client = here.viewer(TABLES)
    there.viewer(TABLES)
    log.passes(2 * OFTEN)
    there.end()
    log.passes(FALL + OFTEN)
    assert sent(client) == [1, 2, 1]


def test_outage_of_the_log_drops_nobody_and_numbers_are_right_after_it(log, here, there):
    client = here.viewer(TABLES)
    there.viewer(TABLES)
    log.passes(2 * OFTEN)
    here.is_up = there.is_up = False
    log.passes(60_000)
    here.viewer(TABLES)
    log.passes(4 * OFTEN)
    assert sent(client) == [1, 2, 3]
    here.is_up = there.is_up = True
    log.passes(30_000)
    assert sent(client) == []


def test_process_that_was_stopped_for_a_while_drops_nobody_when_it_goes_on(log, here, there):
    client = here.viewer(TABLES)
    there.viewer(TABLES)
    log.passes(2 * OFTEN)
    assert sent(client) == [1, 2]
    log.kill(here)
    log.passes(60_000)
    log.processes.append(here)
    list(here.presence.run())  # before it has read anything
    log.passes(30_000)
    assert sent(client) == []


def test_conversation_says_which_sides_are_there(log, here, there):
    guest = here.viewer(CHAT, "u1")
    log.work()
    assert sent(guest, CHAT) == [{"guest"}]
    owner = there.viewer(CHAT, "o1")
    log.passes(2 * OFTEN)
    assert sent(guest, CHAT) == sent(owner, CHAT)[-1:] == [{"guest", "restaurant"}]
    owner.leave()
    log.passes(FALL + 2 * OFTEN)
    assert sent(guest, CHAT) == [{"guest"}]


def test_client_that_is_not_signed_in_is_on_no_side(log, here):
    client = here.viewer(CHAT)
    log.work()
    assert sent(client, CHAT) == [set()]


def test_slow_client_is_sent_the_latest_number_when_it_reads_again(log, here):
    client = here.viewer(TABLES)
    log.work()
    client.send_queue.backlogged = True
    here.viewer(TABLES)
    log.passes(2 * OFTEN)
    here.viewer(TABLES)
    log.passes(2 * OFTEN)
    assert sent(client) == [1]
    client.send_queue.backlogged = False
    log.passes(RETRY)
    assert sent(client) == [3]


def test_client_whose_subscription_waits_is_sent_nothing_before_its_answer(log, here):
    here.feed = a_feed(hub=here.feed.hub)  # which is not live
    client = here.viewer(TABLES)
    other = here.viewer(TABLES)
    log.passes(2 * OFTEN)
    assert sent(client) == sent(other) == []
    here.feed.ingest(LogMetadata({}, {}), NOW)
    work(here.feed)
    list(retry_waiting(client))
    log.work()
    assert [message["type"] for message in client.send_queue.said()] == ["subscribed", "presence"]
    assert client.has_answered(TABLES)


def test_client_that_is_asked_to_leave_counts_no_more(log, here):
    client, other = here.viewer(TABLES), here.viewer(TABLES)
    log.passes(OFTEN)
    other.announce(5)
    other.leave()
    log.passes(FALL + OFTEN)
    assert sent(client) == [1, 2, 1]


def test_client_that_came_during_a_rise_that_did_not_last_is_sent_what_the_others_have(log, here):
    client = here.viewer(TABLES)
    log.work()
    passing = here.viewer(TABLES, asks=False)
    newcomer = here.viewer(TABLES)
    log.work()
    assert (sent(client), sent(newcomer)) == ([1], [3])
    passing.leave()
    client.leave()
    log.passes(FALL + 2 * OFTEN)
    assert sent(newcomer)[-1] == 1


def test_page_that_is_loaded_again_finds_what_others_said(log, here, there):
    there.viewer(TABLES, asks=False)
    client = here.viewer(TABLES)
    log.passes(3 * OFTEN)
    client.leave()
    log.passes(LINGER - 1000)
    again = here.viewer(TABLES)
    log.work()
    assert sent(again) == [2]


def test_channel_that_nobody_asks_about_any_more_is_forgotten(log, here, there):
    there.viewer(TABLES, asks=False)
    here.viewer(TABLES).leave()
    log.passes(LINGER + EVERY)
    assert len(log.records) > 2
    log.records.clear()
    here.next = there.next = 0
    log.passes(60_000)
    assert log.records == []


@pytest.mark.slow
def test_many_channels_that_change_at_once_are_spread_over_time(log):
    here = log.process(most=2000)
    clients = [here.viewer(f"restaurant:r{number}:tables") for number in range(1000) for _ in range(4)]
    log.work()
    for client in clients:
        client.send_queue.said()
    log.passes(2 * OFTEN)
    for number in range(1000):
        here.viewer(f"restaurant:r{number}:tables", asks=False)
    counts = []
    for _ in range(8):
        before = here.presence.messages
        log.passes(500, step=20)
        counts.append(here.presence.messages - before)
    assert max(counts) <= 0.6 * PER_SECOND
    assert sum(counts) == 4000


@pytest.mark.slow
def test_number_of_a_crowd_is_counted_seldom_and_has_two_digits(log, here, monkeypatch):
    client = here.viewer(TABLES)
    for _ in range(999):
        here.viewer(TABLES, asks=False)
    log.passes(SELDOM)
    assert sent(client) == [1, 1000]
    counted = []
    level = here.presence._watches._level
    monkeypatch.setattr(here.presence._watches, "_level", lambda channel: counted.append(channel) or level(channel))
    for _ in range(100):
        here.viewer(TABLES)
        log.now += 10
        log.work()
    assert len(counted) <= 2
    log.passes(10_000)
    assert sent(client) == [1000] or sent(client) == []


def test_presence_that_is_off_costs_and_says_nothing(log):
    here = log.process(most=0)
    client = here.viewer(TABLES)
    guest = here.viewer(CHAT, "u1")
    types(guest)
    log.passes(20_000)
    assert sent(client) == typing(guest) == log.records == []
    client.leave()


def test_record_that_is_none_is_poison(here):
    with pytest.raises(BadFieldError):
        here.presence.read(Record(PRESENCE, 0, 0, 0, b"x", b"nonsense"))


# Typing


def types(session, is_typing=True, channel=CHAT):
    return ask(session, "typing", channel=channel, typing=is_typing)


def test_typing_is_sent_to_all_in_the_conversation_on_any_process(log, here, there):
    guest, owner = here.viewer(CHAT, "u1", asks=False), there.viewer(CHAT, "o1", asks=False)
    [before] = types(guest)
    assert before["type"] == "subscribed", "nothing answers that it is typing"
    log.passes(2 * OFTEN)
    assert typing(guest) == typing(owner) == [("guest", True)]
    types(guest, is_typing=False)
    log.passes(2 * OFTEN)
    assert typing(guest) == typing(owner) == [("guest", False)]
    assert log.records[-1].value is None


def test_nobody_is_typing_before_the_log_has_said_whose_conversation_it_is(log, here, there):
    owner, stranger = there.client("o1"), here.client("x")
    subscribe(owner, CHAT)
    here.feed.progress.live = False
    assert types(stranger) == []
    log.passes(EVERY)
    assert typing(owner) == []
    here.feed.progress.live = True
    assert [each["code"] for each in types(stranger)] == ["unauthorized"]


def test_typing_ends_by_itself_unless_it_is_said_again(log, here, there):
    guest, owner = here.viewer(CHAT, "u1", asks=False), there.viewer(CHAT, "o1", asks=False)
    types(guest)
    log.passes(TYPING_FOR - 1000)
    types(guest)
    log.passes(TYPING_FOR - 1000)
    again = typing(owner)
    assert set(again) == {("guest", True)}
    assert len(again) == 5, "every five seconds, however often it is said"
    log.passes(5_000)
    assert typing(owner) == [("guest", False)]


def test_typing_ends_with_the_message_the_subscription_and_the_process(log, here, there):
    guest, owner = here.viewer(CHAT, "u1", asks=False), there.viewer(CHAT, "o1", asks=False)
    types(owner)
    log.passes(2 * OFTEN)
    assert typing(guest) == [("restaurant", True)]
    types(owner)
    log.passes(OFTEN)
    log.kill(there)
    log.passes(15_000)
    assert typing(guest)[-1] == ("restaurant", False)
    other = here.viewer(CHAT, "o2", asks=False)
    types(other)
    log.passes(OFTEN)
    other.leave()
    log.passes(OFTEN)
    assert typing(guest) == [("restaurant", True), ("restaurant", False)]


def test_who_comes_to_a_conversation_is_sent_who_is_typing(log, here):
    guest = here.viewer(CHAT, "u1", asks=False)
    types(guest)
    log.passes(OFTEN)
    owner = here.viewer(CHAT, "o1", asks=False)
    log.passes(OFTEN)
    assert typing(owner) == [("guest", True)]


def test_client_is_typing_in_one_conversation_at_a_time(log, here):
    other = "restaurant:r2:chat:u1"
    guest = here.viewer(CHAT, "u1", asks=False)
    ask(guest, channel=other)
    types(guest)
    log.passes(OFTEN)
    assert typing(guest) == [("guest", True)]
    types(guest, channel=other)
    log.passes(OFTEN)
    said = {(m["channel"], m["data"]["typing"]) for m in guest.send_queue.said() if m["type"] == "chat.typing"}
    assert said == {(CHAT, False), (other, True)}


def test_typing_of_a_client_without_the_right_is_refused(log, here):
    stranger = a_session(here.feed, presence=here.presence)
    [error] = types(stranger)
    assert error["code"] == "unauthorized"
    identify(stranger, Identity("u2", ()), 0)
    [error] = types(stranger)
    assert error["code"] == "unauthorized"
    [error] = ask(stranger, "typing", channel=TABLES, typing=True, id=7)
    assert (error["code"], error["id"]) == ("bad_channel", 7)


def test_tombstone_of_another_process_is_read_as_its_end(here):
    here.presence.read(Record(PRESENCE, 0, 0, 0, *NewRecord(PRESENCE, None, b"q/0")[:0:-1]))
    assert not here.presence.has_silent
