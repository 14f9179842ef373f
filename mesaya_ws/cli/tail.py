"""`mesaya-ws tail`: what arrives on channels, as people or programs read it."""

import json
import os
import sys
from functools import partial
from urllib.parse import urlsplit

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.client import Event, RefusedError, Session, connect
from mesaya_ws.groups import only

SILENCE = 2.0
"""Seconds after which it says that it has found no gateway."""


def _websocket_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise click.BadParameter("it must be ws://host:port/ws, or wss://…")
    return url


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--url", callback=_websocket_url, help="Where the gateway is; by default on this machine, at PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@click.option("--snapshot", is_flag=True, help="Begin with the state of the channels.")
def tail(channels: tuple[str, ...], url: str | None, as_json: bool, snapshot: bool) -> None:
    """Subscribe to CHANNELS and print what arrives, until interrupted."""
    url = url or f"ws://127.0.0.1:{usable_settings().port}/ws"
    try:
        trio.run(partial(_tail, channels, url, as_json=as_json, snapshot=snapshot))
    except BaseException as error:
        if refused := only(error, RefusedError):
            fail(str(refused))
        if only(error, BrokenPipeError):
            # Whoever read us has gone; Python would say so once more when it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif not only(error, KeyboardInterrupt):  # which is how it ends
            raise


async def _tail(channels: tuple[str, ...], url: str, *, as_json: bool, snapshot: bool) -> None:
    console = Console()
    async with connect(url) as session, trio.open_nursery() as nursery:
        nursery.start_soon(_tell_of_silence, session, url)
        for channel in channels:
            await session.subscribe(channel, snapshot=snapshot)
        async for event in session:
            if as_json or not console.is_terminal:
                click.echo(json.dumps(attrs.asdict(event), ensure_ascii=False))
            else:
                _print(console, event)


async def _tell_of_silence(session: Session, url: str) -> None:
    """Tell whoever waits that there is nobody to wait for."""
    await trio.sleep(SILENCE)
    if not session.connected:
        click.echo(f"mesaya-ws: nothing answers at {url} yet; trying again until something does.", err=True)


def _print(console: Console, event: Event) -> None:
    head = ((event.timestamp or "", "dim"), " ", (event.type, "bold"), " ", (event.channel, "cyan"))
    console.print(Text.assemble(*head))
    console.print_json(data=event.data)
