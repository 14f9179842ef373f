import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode

from mesaya_ws.core.wire.frame_limits import PIECES_PER_FRAME, Bucket, FrameLimiter, FrameLimits, Violation
from mesaya_ws.core.wire.frames import PING, close_frame, text_frame, text_frame_in_steps, text_frame_of


def read(data):
    """Return the frames in `data` as wsproto, a client here, reads them."""
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    return list(protocol.received_frames())


def masked(opcode, payload, *, final=True):
    """Return a client's frame."""
    size = len(payload)
    first = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return first + length + b"\0\0\0\0" + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_text_frame_of_every_length_form(size):
    frames = read(text_frame(b"x" * size))
    assert [frame.opcode for frame in frames] == [Opcode.TEXT] + [Opcode.CONTINUATION] * (len(frames) - 1)
    assert "".join(frame.payload for frame in frames) == "x" * size
    assert frames[-1].message_finished


@pytest.mark.parametrize("at_once", [1, 7, 100, 1000, 70_000])
@pytest.mark.parametrize("sizes", [[], [0], [125], [60, 66, 0, 3], [300] * 5, [65_000, 535, 1], [1, 200_000, 5]])
def test_a_text_frame_put_together_in_steps_is_the_same(sizes, at_once):
    parts = [bytes([97 + number]) * size for number, size in enumerate(sizes)]
    steps, count = text_frame_in_steps(parts, at_once), 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            frame = done.value
            break
        count += 1
    assert type(frame) is bytes
    assert frame == text_frame_of(parts) == text_frame(b"".join(parts))
    size = sum(sizes)
    is_large = size >= 65_536 and size > at_once
    assert (size // (2 * at_once) if is_large else 0) <= count <= (size // at_once if is_large else 0)


def test_control_frames():
    assert [(frame.opcode, frame.payload) for frame in read(PING)] == [(Opcode.PING, b"")]
    [frame] = read(close_frame(1012, "restart"))
    assert (frame.opcode, frame.payload) == (Opcode.CLOSE, (CloseReason.SERVICE_RESTART, "restart"))


@given(st.integers(4000, 4999), st.text())
def test_a_close_frame_is_always_valid(code, reason):
    [frame] = read(close_frame(code, reason))
    assert frame.payload[0] == code
    assert reason.startswith(frame.payload[1] or "")


def watch(limit=1000, rate=10.0, byte_rate=1e9, fragments=1000):
    return FrameLimiter(FrameLimits(limit, rate, byte_rate, fragments))


def test_a_message_may_be_as_large_as_the_limit():
    assert watch().feed(masked(1, b"x" * 1000), 0) is None
    assert watch().feed(masked(1, b"x" * 1001), 0) is Violation.TOO_BIG


def test_size_of_a_frame_is_checked_by_its_header():
    assert watch().feed(masked(1, b"x" * 2000)[:8], 0) is Violation.TOO_BIG
    assert watch().feed(masked(1, b"x" * 70_000)[:14], 0) is Violation.TOO_BIG


def test_fragments_count_together_and_control_frames_between_them_do_not():
    fragments = masked(1, b"x" * 600, final=False) + masked(9, b"p" * 125) + masked(0, b"x" * 401)
    assert watch().feed(fragments, 0) is Violation.TOO_BIG
    fragments = masked(1, b"x" * 600, final=False) + masked(9, b"p" * 125) + masked(0, b"x" * 400)
    assert watch().feed(fragments + masked(1, b"x" * 1000), 0) is None


def test_binary_frames_are_not_for_this_service():
    assert watch().feed(masked(2, b"x"), 0) is Violation.BINARY


@pytest.mark.parametrize("bit", [0x10, 0x20, 0x40])
def test_binary_frame_with_a_reserved_bit_is_left_to_the_protocol(bit):
    """It is refused as no valid frame (1002); its size counts like that of any other."""
    assert watch().feed(masked(2 | bit, b"x"), 0) is None
    assert watch().feed(masked(2 | bit, b"x" * 1001), 0) is Violation.TOO_BIG


def test_frames_over_time():
    flood = watch(rate=10)
    assert flood.feed(masked(1, b"x") * 100, 0.0) is None, "ten seconds' worth at once"
    assert flood.feed(masked(1, b"x"), 0.05) is Violation.FRAMES
    steady = watch(rate=10)
    for tick in range(500):
        assert steady.feed(masked(9, b""), tick / 10) is None


def test_empty_fragments_are_frames_too():
    assert watch(rate=1).feed(masked(1, b"", final=False) + masked(0, b"", final=False) * 10, 0) is Violation.FRAMES


def test_message_of_more_fragments_than_there_may_be_is_a_violation():
    def fragments(count):
        return (
            masked(1, b"x", final=False)
            + (masked(0, b"x", final=False) + masked(9, b"")) * (count - 2)
            + masked(0, b"")
        )

    assert watch(fragments=10).feed(fragments(10) * 2, 0) is None, "of each message, and pings are none"
    assert watch(fragments=10).feed(fragments(11), 0) is Violation.FRAGMENTS


def test_bytes_over_time():
    limiter = watch(limit=10, byte_rate=10_000, rate=1e6)
    assert limiter.feed(masked(9, b"x" * 94) * 1000, 0.0) is None, "ten seconds' worth at once"
    assert limiter.feed(masked(9, b"x" * 94), 0.005) is Violation.BYTES
    steady = watch(byte_rate=10_000, rate=1e6)
    for tick in range(5000):
        assert steady.feed(masked(9, b"x" * 94), tick / 100) is None


def test_largest_message_may_always_come_at_once():
    limiter = watch(limit=1_000_000, byte_rate=1)
    assert limiter.feed(masked(1, b"x" * 1_000_000), 0.0) is None
    assert limiter.feed(b"x" * 65_536, 0.0) is Violation.BYTES


@pytest.mark.parametrize(
    ("parts", "since"),
    [
        pytest.param([masked(1, b"x")], None, id="a whole message"),
        pytest.param([masked(1, b"x", final=False)], 1, id="a fragment"),
        pytest.param([masked(1, b"x", final=False), masked(9, b"p"), masked(0, b"", final=False)], 1, id="more of it"),
        pytest.param([masked(1, b"x", final=False), masked(0, b"")], None, id="its end"),
        pytest.param([masked(1, b""), masked(1, b"xy")[:-1]], 2, id="a frame without its end"),
        pytest.param([masked(1, b"xy")[:-1], b"y"], None, id="and with it"),
        pytest.param(
            [masked(1, b"xy", final=False), masked(0, b"xyz")[:-2], b"x"], 1, id="the last frame without its end"
        ),
    ],
)
def test_incomplete_message_is_known_since_its_first_frame(parts, since):
    limiter = watch()
    for now, part in enumerate(parts, 1):
        assert limiter.feed(part, now) is None
    assert limiter.incomplete_since == since


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=50))
def test_bucket_never_gives_more_than_what_it_saved_and_what_came_since(takes):
    bucket, now, given_away = Bucket(2.0), 0.0, 0
    for seconds, amount in takes:
        now += seconds
        given_away += amount * bucket.take(now, amount)
        assert given_away <= 20 + 2 * now + 1e-6


def fed(limiter, data, size, now, per_second):
    """Feed `data` in pieces of a size, so many a second, from a time on; return the violation, if any, and the time."""
    for number, at in enumerate(range(0, len(data), size), 1):
        if violation := limiter.feed(data[at : at + size], now + number / per_second):
            return violation, now + number / per_second
    return None, now + len(data) / size / per_second


def test_tiny_pieces_over_time():
    rate, wire = 100, masked(1, b"x" * 60_000)
    violation, at = fed(watch(60_000, rate), wire, 1, 0.0, per_second=1e6)
    assert (violation, at) == (Violation.PIECES, pytest.approx(rate * 10 * PIECES_PER_FRAME / 1e6, rel=0.1))
    violation, _ = fed(watch(60_000, rate), wire, 1, 0.0, per_second=rate * PIECES_PER_FRAME)
    assert violation is None
    violation, _ = fed(watch(60_000, rate), masked(1, b"") * 10_000, 1, 0.0, per_second=rate * 6)
    assert violation is None, "the smallest frames, byte by byte"


@pytest.mark.parametrize("segment", [536, 1460])
def test_whatever_may_be_sent_may_come_in_the_segments_of_any_network(segment):
    limiter, now = watch(65_536, 50), 0.0
    for _ in range(50 * 60):
        violation, now = fed(limiter, masked(1, b"x" * 65_536), segment, now, per_second=50 * 65_550 / segment)
        assert violation is None


def test_messages_that_come_in_several_packets_each_may_come_as_often_as_others():
    limiter, now = watch(rate=50), 0.0
    for _ in range(50 * 60):
        violation, now = fed(limiter, masked(1, b"x" * 300), 16, now, per_second=50 * 20)
        assert violation is None


@given(
    st.lists(st.tuples(st.sampled_from([1, 9, 10]), st.integers(0, 300) | st.just(65_536)), min_size=1, max_size=8),
    st.data(),
)
def test_how_the_bytes_are_cut_makes_no_difference(frames, data):
    wire = b"".join(masked(opcode, bytes(size if opcode == 1 else size % 126)) for opcode, size in frames)
    whole = watch(5000, 1000).feed(wire, 0)
    pieces, cut = watch(5000, 1000), None
    while wire and cut is None:
        size = data.draw(st.integers(1, max(1, min(len(wire), 4000))))
        cut = pieces.feed(wire[:size], 0)
        wire = wire[size:]
    assert cut is whole
