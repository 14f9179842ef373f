"""`mesaya-ws tail`: prints what arrives on channels."""

import json
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from mesaya_ws.cli.address import service_address
from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.client.connection import require_websocket_url
from mesaya_ws.client.credentials import require_token
from mesaya_ws.client.session import (
    Connected,
    Disconnected,
    Event,
    Notice,
    RefusedError,
    Session,
    Subscribed,
    connect,
)
from mesaya_ws.runtime.exceptions import only

SILENCE = 2.0
"""Seconds after which the command says that nothing has answered yet."""


def _websocket_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        require_websocket_url(url)
    except ValueError:
        raise click.BadParameter("it must be ws://host:port/ws, or wss://…") from None
    return url


def _trusting(_: click.Context, __: click.Parameter, path: str | None) -> ssl.SSLContext | None:
    if path is None:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be used: {error.strerror or error}") from None


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--url", callback=_websocket_url, help="Where the gateway is; by default at HOST and PORT.")
@click.option("--ca", "tls", callback=_trusting, help="PEM file of the only authority to be trusted, for wss://.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with a token; read again to renew it.")
@click.option("--user", help="Who you are, where the gateway has AUTH=off.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@click.option("--snapshot", is_flag=True, help="Begin with the state of the channels.")
def tail(
    channels: tuple[str, ...],
    url: str | None,
    tls: ssl.SSLContext | None,
    token_file: Path | None,
    user: str | None,
    as_json: bool,
    snapshot: bool,
) -> None:
    """Subscribe to CHANNELS and print what arrives, until interrupted.

    Standard error is about the connection: that there is one, what is subscribed, or why there is none.
    """
    if token_file is not None and user is not None:
        raise click.UsageError("--token-file and --user both say who you are: leave one out.")
    url = url or f"ws://{service_address(usable_settings())}/ws"
    try:
        token = None if token_file is None else partial(_read_token, token_file)
        opening = partial(connect, url, tls=tls, token=token, user=user)
        run(partial(_tail, channels, url, opening, as_json=as_json, snapshot=snapshot))
    except BaseException as error:
        if unusable := only(error, TokenFileError):
            fail(str(unusable))
        if refused := only(error, RefusedError):
            fail(str(refused))
        if only(error, BrokenPipeError):
            # The reader of standard output has gone; Python would complain again when it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif not only(error, KeyboardInterrupt):  # which is how it ends
            raise


class TokenFileError(Exception):
    """What --token-file names holds no token."""


async def _read_token(path: Path) -> str:
    """Return the token in a file. Raises `OSError` when it cannot be read, as while it is being replaced."""
    text = (await trio.Path(path).read_text(encoding="utf-8", errors="replace")).strip()
    try:
        require_token(text)
    except ValueError as error:
        raise TokenFileError(f"{path} holds no token: {error}.") from None
    return text


async def _tail(
    channels: tuple[str, ...],
    url: str,
    opening: Callable[..., AbstractAsyncContextManager[Session]],
    *,
    as_json: bool,
    snapshot: bool,
) -> None:
    console, teller = Console(), _Teller(url)
    async with opening(notify=teller.report) as session, trio.open_nursery() as nursery:
        nursery.start_soon(teller.tell_of_silence)
        for channel in channels:
            await session.subscribe(channel, snapshot=snapshot)
        async for event in session:
            if as_json or not console.is_terminal:
                click.echo(json.dumps(attrs.asdict(event), ensure_ascii=False))
            else:
                _print(console, event)


class _Teller:
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

    async def tell_of_silence(self) -> None:
        """Print that nothing has answered, after SILENCE."""
        await trio.sleep(SILENCE)
        if not self._said:
            self._say(f"nothing answers at {self._url} yet; trying again")

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            click.echo(f"mesaya-ws: {sentence}.", err=True)


def _print(console: Console, event: Event) -> None:
    head = ((event.timestamp or "", "dim"), " ", (event.type, "bold"), " ", (event.channel, "cyan"))
    console.print(Text.assemble(*head))
    console.print_json(data=event.data)
