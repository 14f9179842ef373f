"""What the commands that connect to a gateway have in common: options, and what they say of the connection."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import click
import trio

from mesaya_ws.client.connection import require_websocket_url
from mesaya_ws.client.credentials import require_token
from mesaya_ws.client.session import Connected, Disconnected, Notice, Subscribed

SILENCE = 2.0
"""Seconds after which the command says that nothing has answered yet."""


def websocket_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Validate the URL of a WebSocket, as a callback of click."""
    if url is None:
        return None
    try:
        require_websocket_url(url)
    except ValueError:
        raise click.BadParameter("it must be ws://host:port/ws, or wss://…") from None
    return url


def trusting(_: click.Context, __: click.Parameter, path: str | None) -> ssl.SSLContext | None:
    """Return the context that trusts one authority, as a callback of click."""
    if path is None:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be used: {error.strerror or error}") from None


class TokenFileError(Exception):
    """What --token-file names holds no token."""


async def read_token(path: Path) -> str:
    """Return the token in a file. Raises `OSError` when it cannot be read, as while it is being replaced."""
    text = (await trio.Path(path).read_text(encoding="utf-8", errors="replace")).strip()
    try:
        require_token(text)
    except ValueError as error:
        raise TokenFileError(f"{path} holds no token: {error}.") from None
    return text


class ConnectionReporter:
    """Prints on standard error how the connection is, each sentence once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        # The rest may be secret: a password, a token in the query.
        self._url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._has_been_connected = False
        self._said = ""

    def report(self, notice: Notice) -> None:
        """Print a notice of the client."""
        match notice:
            case Connected(connection) if self._has_been_connected:
                self._say(f"connected again, as {connection}")
            case Connected(connection):
                self._has_been_connected = True
                self._say(f"connected to {self._url}, as {connection}")
            case Subscribed(channel, None):
                self._say(f"subscribed to {channel}")
            case Subscribed(channel, True):
                self._say(f"subscribed to {channel}, and nothing is missed")
            case Subscribed(channel, False):
                self._say(f"subscribed to {channel}, where events are missing; its state follows")
            case Disconnected(reason):
                self._say(f"not connected to {self._url}: {reason}; trying again")

    async def report_silence(self) -> None:
        """Print that nothing has answered, after SILENCE."""
        await trio.sleep(SILENCE)
        if not self._said:
            self._say(f"nothing answers at {self._url} yet; trying again")

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            click.echo(f"mesaya-ws: {sentence}.", err=True)
