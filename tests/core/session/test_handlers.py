from mesaya_ws.core.session.handlers import HANDLERS
from mesaya_ws.core.wire.messages import TYPES


def test_every_message_of_clients_has_a_handler():
    assert HANDLERS.keys() == {*TYPES.values()}
