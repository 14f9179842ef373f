"""`mesaya-ws tail`: prints what arrives on channels."""

import json
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from mesaya_ws.cli.address import service_address
from mesaya_ws.cli.connecting import ConnectionReporter, TokenFileError, read_token, trusting, websocket_url
from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.client.session import (
    Event,
    RefusedError,
    Session,
    connect,
)
from mesaya_ws.runtime.exceptions import only
from mesaya_ws.runtime.harmless_json import harmless


@click.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--url", callback=websocket_url, help="Where the gateway is; by default at HOST and PORT.")
@click.option("--ca", "tls", callback=trusting, help="PEM file of the only authority to be trusted, for wss://.")
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
        token = None if token_file is None else partial(read_token, token_file)
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


async def _tail(
    channels: tuple[str, ...],
    url: str,
    opening: Callable[..., AbstractAsyncContextManager[Session]],
    *,
    as_json: bool,
    snapshot: bool,
) -> None:
    console, reporter = Console(), ConnectionReporter(url)
    async with opening(notify=reporter.report) as session, trio.open_nursery() as nursery:
        nursery.start_soon(reporter.report_silence)
        for channel in channels:
            await session.subscribe(channel, snapshot=snapshot)
        async for event in session:
            if as_json or not console.is_terminal:
                click.echo(harmless(json.dumps(attrs.asdict(event), ensure_ascii=False)))
            else:
                print_event(console, event)


def print_event(console: Console, event: Event) -> None:
    """Print an event for people."""
    head = ((event.timestamp or "", "dim"), " ", (event.type, "bold"), " ", (event.channel, "cyan"))
    console.print(Text.assemble(*head))
    data = harmless(json.dumps(event.data, indent=2, ensure_ascii=False))
    console.print(JSONHighlighter()(data), soft_wrap=True)
