"""What the service sends."""

import orjson

from mesaya_ws.core.wire.encoding import encode, position_of
from mesaya_ws.core.wire.frames import text_frame


def test_answers_leave_out_what_is_not_there():
    assert orjson.loads(encode("subscribed", channel="c", id=None, recovered=False)) == {
        "type": "subscribed",
        "channel": "c",
        "recovered": False,
    }


def test_position_of_an_event_is_read_whatever_its_data_say():
    payload = b'{"type":"t","channel":"c","position":"p1","data":{"position":"p2"}}'
    assert position_of(text_frame(payload)) == "p1"
