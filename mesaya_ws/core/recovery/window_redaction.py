"""What is taken out of the window when it is to be forgotten: an erased message, the name of an erased user."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.outcome import Redaction
from mesaya_ws.core.recovery.publications import PartitionBuffer, serial_of
from mesaya_ws.core.recovery.window import Window

REDACTED_AT_ONCE = 100
"""Publications, and names of channels, that are looked at in one go for what is to be forgotten: a message may be
looked up for each."""

Changed = Callable[[str, Partition, int, bytes], None]
"""What is called with the place of a publication that has another frame from now on, and with that frame."""


def redact(
    window: Window, redactions: Iterable[Redaction], changed: Changed = lambda channel, partition, offset, frame: None
) -> Iterator[None]:
    """Forget of publications what is to be forgotten, and keep the rest where it is; yields after some of it.

    Nothing may be added meanwhile.
    """
    for redaction in redactions:
        concerned = redaction.channel
        channels = [concerned] if isinstance(concerned, str) else list(window.channels)
        looked_at = 0
        for channel in channels:
            looked_at += 1
            if isinstance(concerned, str) or concerned(channel):
                for line in list(window.lines(channel).values()):
                    looked_at += min(len(line.entries) - line.start, REDACTED_AT_ONCE)
                    yield from _redact(window, channel, line, redaction, changed)
            if looked_at >= REDACTED_AT_ONCE:
                looked_at = 0
                yield
        yield


def _redact(
    window: Window, channel: str, line: PartitionBuffer, redaction: Redaction, changed: Changed
) -> Iterator[None]:
    _, naming, change = redaction
    # Those that become too old meanwhile go; so the next one is found by its serial.
    serial, entries = 0, line.entries
    while (start := bisect_right(entries, serial, line.start, key=serial_of)) < len(entries):
        if serial:
            yield
            start = bisect_right(entries, serial, line.start, key=serial_of)
        stop = min(start + REDACTED_AT_ONCE, len(entries))
        for at in range(start, stop):
            former = entries[at]
            serial = former.serial
            if naming in former.frame and (frame := change(former.frame)) != former.frame:
                window.replace_at(line, at, frame)
                changed(channel, former.partition, former.offset, frame)
