"""How a command fails: a sentence on standard error, and 1 to exit with, or 2 when the settings are wrong."""

import sys
from collections.abc import Callable
from typing import NoReturn

import click

from mesaya_ws.environment import load_settings
from mesaya_ws.settings import Settings, SettingsError


def fail(sentence: str, status: int = 1) -> NoReturn:
    """Say why, and exit."""
    click.echo(f"mesaya-ws: {sentence}", err=True)
    sys.exit(status)


def usable_settings(load: Callable[[], Settings] = load_settings) -> Settings:
    """Return the settings; when some cannot be used, say of each what is wrong, and exit."""
    try:
        return load()
    except SettingsError as error:
        fail("\nmesaya-ws: ".join(f"{problem}." for problem in error.problems), 2)
