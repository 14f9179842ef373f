"""The commands of `mesaya-ws`. The only place that runs Trio."""

import click

from mesaya_ws import __version__
from mesaya_ws.cli import chat, check, demo, explain, produce, serve, tail, token


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mesaya-ws")
def main() -> None:
    """Real-time gateway of MesaYA: the platform's events to WebSocket clients."""


for command in (
    serve.serve,
    serve.worker,
    produce.produce,
    demo.demo,
    explain.explain,
    tail.tail,
    chat.chat,
    check.check,
    token.token,
):
    main.add_command(command)
