"""What a process counts of its channels, for others, takes steps in which no more is done than some work."""

from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.session.presence import AS_A_CHANNEL, AT_ONCE, LINGER
from tests.core.session.test_presence_watch import Asker
from tests.support.instance import a_presence


class Viewer:
    """One of those who are on a channel."""

    viewer = None


def watched(*channels):
    """Return the presence of a process where somebody asks about each of these channels, and how its time is set."""
    hub, now = Hub(), [0]
    presence = a_presence(hub, "p", clock=lambda: now[0])
    askers = [Asker() for _ in channels]
    for channel, asker in zip(channels, askers, strict=True):
        hub.subscribe(channel, Viewer())
        presence.began(asker, channel, asks=True)
    return presence, hub, now, askers


def test_viewers_count_as_work_as_channels_do():
    channels = [f"restaurant:r{number}:tables" for number in range(AT_ONCE // 4)]
    presence, hub, _, _ = watched(*channels)
    for channel in channels:
        for _ in range(8 * AS_A_CHANNEL):
            hub.subscribe(channel, Viewer())
    assert len(list(presence.count())) >= 2
    assert list(presence.count()) == [], "nothing has changed"


def test_channels_that_nobody_asks_about_any_more_are_forgotten_in_steps():
    channels = [f"restaurant:r{number}:tables" for number in range(5 * AT_ONCE)]
    presence, _, now, askers = watched(*channels)
    list(presence.count())
    for channel, asker in zip(channels, askers, strict=True):
        presence.ended(asker, channel)
    list(presence.count())
    now[0] += LINGER
    assert len(list(presence.count())) >= 2 * 5, "to forget each, and to say so of each"
