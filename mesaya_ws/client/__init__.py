"""A Python client that reconnects and resumes by itself, and moves to another instance when its own goes away."""

from mesaya_ws.client.connection import NotConnectedError, RefusedError
from mesaya_ws.client.events import Connected, Disconnected, Event, Notice, Subscribed
from mesaya_ws.client.holds import Hold
from mesaya_ws.client.session import Session, connect
from mesaya_ws.client.timings import Timings

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Hold",
    "NotConnectedError",
    "Notice",
    "RefusedError",
    "Session",
    "Subscribed",
    "Timings",
    "connect",
]
