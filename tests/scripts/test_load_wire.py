from hypothesis import given
from hypothesis import strategies as st
from load.wire import Chunk, masked, split

from mesaya_ws.core.wire.frame_limits import FrameLimiter, FrameLimits
from mesaya_ws.core.wire.frames import close_frame, text_frame

payloads = st.binary(max_size=300) | st.sampled_from([b"", b"x" * 125, b"x" * 126, b"x" * 65535, b"x" * 65536])


def event(channel, number, due=1, position="abc"):
    return text_frame(
        b'{"type":"table.updated","channel":"c","position":"%b","data":{"stamp":"%d.%d.%d"}}'
        % (position.encode(), channel, number, due)
    )


@given(st.lists(payloads, max_size=8), st.data())
def test_frames_are_split_where_they_end(sent, data):
    stream = b"".join(map(text_frame, sent))
    cut = data.draw(st.integers(0, len(stream)))
    frames, at = split(stream[:cut])
    more, rest = split(stream[at:])
    assert [payload for _, payload in frames + more] == sent
    assert at + rest == len(stream)
    assert split(stream[at:cut]) == ([], 0)


@given(payloads.filter(lambda payload: len(payload) < 65536))
def test_what_is_masked_is_a_frame_that_a_server_takes(payload):
    data = masked(payload)
    assert data.endswith(payload)
    assert data[1] & 0x80
    watch = FrameLimiter(FrameLimits(100_000, 10, 1e6, 10))
    assert watch.feed(data + masked(b"next"), 0) is None


def test_events_in_a_row_are_plain():
    chunk = Chunk(event(3, 7, due=100, position="p1") + event(3, 8, due=200, position="p2"))
    assert chunk.plain
    assert (chunk.channel, chunk.first, chunk.position) == (3, 7, b"p2")
    assert [(stamp.number, stamp.due) for stamp in chunk.stamps] == [(7, 100), (8, 200)]


def test_a_gap_another_channel_a_cut_and_other_frames_are_not_plain():
    assert not Chunk(event(3, 7) + event(3, 9)).plain
    assert not Chunk(event(3, 7) + event(4, 8)).plain
    assert not Chunk(event(3, 7)[:-1]).plain
    assert not Chunk(event(3, 7) + b"\x89\x00").plain
    assert not Chunk(b"").plain


def test_what_is_no_event_is_kept_apart():
    ping, close = b"\x89\x00", close_frame(4008, "slow")
    chunk = Chunk(ping + event(3, 7) + close + event(3, 8)[:5])
    assert chunk.others == [(9, b""), (8, close[2:])]
    assert [stamp.number for stamp in chunk.stamps] == [7]
    assert chunk.rest == len(ping + event(3, 7) + close)


def test_snapshot_is_no_event():
    snapshot = text_frame(b'{"type":"snapshot","channel":"c","data":{"tables":[{"stamp":"3.7.1"}]}}')
    chunk = Chunk(snapshot)
    assert chunk.stamps == []
    assert len(chunk.others) == 1
