"""The real-time gateway of MesaYA: an event log in, WebSocket channels out."""

from importlib.metadata import version

__version__ = version("mesaya-ws")
