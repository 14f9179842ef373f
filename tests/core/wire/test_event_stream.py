from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.event_stream import UNREADABLE, Places, event, mark, payloads
from mesaya_ws.core.wire.frames import fragment, text_frame

A, B = "restaurant:r1:tables", "global:announcements"


@given(st.lists(st.binary(max_size=70_000).map(lambda payload: payload.replace(b"\n", b"")), max_size=4))
def test_payloads_of_joined_frames_come_back(messages):
    assert list(payloads(b"".join(map(text_frame, messages)))) == [(message, True) for message in messages]


def test_fragments_say_which_is_the_last():
    frames = [fragment(b"a", first=True), fragment(b"b"), fragment(b"c", last=True)]
    assert [next(payloads(frame)) for frame in frames] == [(b"a", False), (b"b", False), (b"c", True)]


def test_event_has_its_name_and_id_only_where_there_is_one():
    assert event(b"{}") == b"data: {}\n\n"
    assert event(b"{}", "a.b") == b"data: {}\nid: a.b\n\n"
    assert event(b"{}", name="going_away") == b"event: going_away\ndata: {}\n\n"
    assert mark("a.") == b"id: a.\n\n"


def test_places_are_of_all_channels_in_the_order_of_the_request():
    places = Places([A, B])
    assert (places.of(A), places.id) == (None, ".")
    assert places.note(encode("announcement.created", channel=B, position="p1"))
    assert places.note(encode("subscribed", channel=A, position="p2"))
    assert places.id == "p2.p1"
    again = Places([A, B], places.id)
    assert (again.of(A), again.of(B)) == ("p2", "p1")


def test_answer_counts_only_when_no_snapshot_follows():
    with_snapshot = Places([A], snapshot=True)
    assert not with_snapshot.note(encode("subscribed", channel=A, position="p1"))
    assert with_snapshot.note(encode("snapshot", channel=A, position="p1"))
    lost = Places([A], "p0")
    assert not lost.note(encode("subscribed", channel=A, position="p9", recovered=False, reason="expired"))
    assert lost.id == "p0"
    recovered = Places([A], "p0", snapshot=True)
    assert recovered.note(encode("subscribed", channel=A, position="p0", recovered=True, replayed=0))


def test_what_is_no_event_of_a_channel_moves_nothing():
    places = Places([A])
    for payload in (
        encode("welcome", connection="c"),
        encode("unsubscribed", channel=A, reason="revoked", position="p5"),
        encode("table.updated", channel="restaurant:r2:tables", position="p5"),
        encode("error", code="unauthorized", channel=A),
    ):
        assert not places.note(payload)
    assert places.id == ""


@given(st.text(max_size=50))
def test_id_of_another_stream_is_unreadable_and_never_passed_over(since):
    places = Places([A, B], since)
    if since.count(".") != 1:
        assert places.of(A) == places.of(B) == UNREADABLE


def test_quiet_channels_move_by_what_the_feed_says():
    places = Places([A, B], "a.b")
    assert places.move({A: "a2"})
    assert not places.move({A: "a2"})
    assert places.id == "a2.b"
