"""`mesaya-ws chat`: a conversation in a terminal, for trying it out; either side can talk."""

import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio
from rich.console import Console
from rich.text import Text

from mesaya_ws.cli.address import service_address
from mesaya_ws.cli.connecting import ConnectionReporter, TokenFileError, read_token, trusting, websocket_url
from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.client.chat import Chat
from mesaya_ws.client.requests import RequestError
from mesaya_ws.client.session import Event, RefusedError, Session, connect
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.runtime.exceptions import only


def _an_id(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and IDENTIFIER.fullmatch(value) is None:
        raise click.BadParameter(f"an id is {IDENTIFIER_FORM}")
    return value


@click.command()
@click.argument("restaurant", callback=_an_id)
@click.argument("user", callback=_an_id)
@click.option("--as", "speaker", callback=_an_id, help="Who you are, where the gateway has AUTH=off; by default USER.")
@click.option("--role", "roles", multiple=True, help="A role that you have then, such as ADMIN.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with a token; read again to renew it.")
@click.option("--url", callback=websocket_url, help="Where the gateway is; by default at HOST and PORT.")
@click.option("--ca", "tls", callback=trusting, help="PEM file of the only authority to be trusted, for wss://.")
def chat(
    restaurant: str,
    user: str,
    speaker: str | None,
    roles: tuple[str, ...],
    token_file: Path | None,
    url: str | None,
    tls: ssl.SSLContext | None,
) -> None:
    """Take part in the conversation of USER with RESTAURANT: each line of standard input is a message.

    You are its guest, or with --as (or the token of) the restaurant's owner, the restaurant. Ends with standard input.
    """
    if token_file is not None and (speaker is not None or roles):
        raise click.UsageError("--token-file says who you are: leave --as and --role out.")
    url = url or f"ws://{service_address(usable_settings())}/ws"
    if token_file is not None:
        opening = partial(connect, url, tls=tls, token=partial(read_token, token_file))
    else:
        opening = partial(connect, url, tls=tls, user=speaker or user, roles=roles)
    try:
        run(_chat, opening, ConnectionReporter(url), restaurant, user)
    except BaseException as error:
        if known := only(error, RefusedError) or only(error, TokenFileError):
            fail(str(known))
        if not only(error, KeyboardInterrupt):
            raise


async def _chat(
    opening: Callable[..., AbstractAsyncContextManager[Session]],
    reporter: ConnectionReporter,
    restaurant: str,
    user: str,
) -> None:
    console = Console(highlight=False)
    async with opening(notify=reporter.report) as session, trio.open_nursery() as nursery:
        nursery.start_soon(reporter.report_silence)
        conversation = session.chat(restaurant, user)
        await session.subscribe(conversation.channel, snapshot=True, presence=True)
        nursery.start_soon(_write, conversation, nursery.cancel_scope)
        async for event in session:
            for line in lines_of(event):
                console.print(line)


async def _write(conversation: Chat, scope: trio.CancelScope) -> None:
    """Write each line of standard input, until its end."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        if text := line.strip():
            try:
                await conversation.publish(text)
            except RequestError as error:
                click.echo(f"mesaya-ws: {error}", err=True)
    scope.cancel()


def lines_of(event: Event) -> list[Text]:
    """Return what is shown of an event of a conversation."""
    data = event.data
    match event.type:
        case "snapshot":
            return [_message(message) for message in data["messages"]]
        case "chat.message":
            return [_message(data)]
        case "chat.edited":
            return [Text(f"… edited: {_plain(data['text'])}", "dim")]
        case "chat.deleted":
            return [Text(f"… a message was deleted by the {data['by']}", "dim")]
        case "chat.read":
            return [Text(f"… read by the {data['by']}", "dim")]
        case "presence":
            there = [side for side in ("guest", "restaurant") if data.get(side)]
            return [Text(f"… here: {' and '.join(there) or 'nobody'}", "dim")]
        case "chat.typing":
            return [Text(f"… the {data['by']} {'is typing' if data['typing'] else 'is not typing any more'}", "dim")]
        case "chat.blocked":
            return [Text("… the guest is blocked" if data["blocked"] else "… the guest is not blocked any more", "dim")]
    return []


def _message(message: Mapping[str, Any]) -> Text:
    name = message.get("authorName") or message["authorId"]
    text = message["text"]
    said = (_plain(text), "") if text is not None else ("deleted", "dim")
    style = "cyan" if message["from"] == "guest" else "green"
    return Text.assemble(
        (message["sentAt"][11:16], "dim"), " ", (f"{message['from']} {_plain(name)}", style), ": ", said
    )


def _plain(text: str) -> str:
    """Return a text that moves no cursor: what others have written must not."""
    return "".join(each if each.isprintable() else " " for each in text)
