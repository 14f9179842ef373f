"""From a message of a client to its answer: each has its row here, and its rules in the file of its noun."""

from collections.abc import Callable, Mapping
from typing import Any

from mesaya_ws.core.session import chat
from mesaya_ws.core.session.acknowledging import acknowledge
from mesaya_ws.core.session.authenticating import authenticate
from mesaya_ws.core.session.chat_typing import type_in
from mesaya_ws.core.session.commands import Command
from mesaya_ws.core.session.holds import release_tables, select_tables
from mesaya_ws.core.session.opening import subscribe, unsubscribe
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire import messages

Handler = Callable[[Session, Any], Command | bytes | None]
"""Does what a message of a session's client asks for, at once or by the session's services.

Returns the command that the session is to append, or the frame that answers the client, or None, if that has been done
or is to come. Raises `MessageError` where the answer is an error; then nothing has been done.
"""


def ping(session: Session, message: messages.Ping) -> None:
    """Answer with how fresh the channels are, and up to where the client has everything."""
    session.delivery.send("pong", id=message.id, **session.feed.freshness(), positions=session.positions())


HANDLERS: Mapping[type[messages.ClientMessage], Handler] = {
    messages.Subscribe: subscribe,
    messages.Unsubscribe: unsubscribe,
    messages.Ping: ping,
    messages.Auth: authenticate,
    messages.Publish: chat.publish,
    messages.Edit: chat.edit,
    messages.Delete: chat.delete,
    messages.Read: chat.read,
    messages.History: chat.history,
    messages.Block: chat.block,
    messages.Typing: type_in,
    messages.Acknowledge: acknowledge,
    messages.SelectTables: select_tables,
    messages.ReleaseTables: release_tables,
}
"""By the type of a message (`core.wire.messages.TYPES`), who handles it."""


def handle(session: Session, text: str) -> str:
    """Do what a message of the client of `session` says, or answer why not.

    Returns the message's type, or the code of the error, for the metrics.
    """
    try:
        message = messages.parse(text)
        result = HANDLERS[type(message)](session, message)
    except messages.MessageError as error:
        session.send_error(error)
        return error.error.name
    if isinstance(result, Command):
        session.append(result)
    elif result is not None:
        session.send_queue.offer(result, 1)
    return type(message).__name__.lower()
