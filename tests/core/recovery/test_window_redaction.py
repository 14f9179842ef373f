from math import inf

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.outcome import Redaction
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.recovery.window_redaction import REDACTED_AT_ONCE, redact
from tests.steps import most_calls_in_a_step

P = Partition("p", 0)


def test_channels_that_may_be_concerned_are_looked_for_bit_by_bit():
    window = Window(inf, 1 << 30)
    for offset in range(30 * REDACTED_AT_ONCE):
        window.add(f"user:{offset}:notifications", P, offset, 0, b"frame")
    window.add("a:chat", P, offset + 1, 0, b"frame")
    redacted = redact(window, [Redaction(lambda channel: channel.endswith(":chat"), b"frame", lambda frame: b"gone")])
    assert most_calls_in_a_step(redacted) < 5 * REDACTED_AT_ONCE
    assert [one.frame for one in window.after("a:chat", {})] == [b"gone"]
    assert [one.frame for one in window.after("user:0:notifications", {})] == [b"frame"]


def test_many_channels_that_are_concerned_are_looked_through_bit_by_bit():
    window = Window(inf, 1 << 30)
    for offset in range(30 * REDACTED_AT_ONCE):
        window.add(f"{offset % (5 * REDACTED_AT_ONCE)}:chat", P, offset, 0, b"frame")
    most = most_calls_in_a_step(redact(window, [Redaction(lambda channel: True, b"frame", lambda frame: b"gone")]))
    assert most < 50 * REDACTED_AT_ONCE
    assert {publication.frame for _, publication in window.since(0)} == {b"gone"}
