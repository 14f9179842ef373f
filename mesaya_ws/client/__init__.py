"""A client that reconnects by itself, goes on where it was, and moves when it is told to."""

from mesaya_ws.client.connection import NotConnectedError, RefusedError
from mesaya_ws.client.events import Connected, Disconnected, Event, Notice, Subscribed
from mesaya_ws.client.session import Session, connect

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "NotConnectedError",
    "Notice",
    "RefusedError",
    "Session",
    "Subscribed",
    "connect",
]
