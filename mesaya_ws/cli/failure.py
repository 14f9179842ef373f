"""How a command fails: a sentence on standard error, and exit status 1, or 2 for wrong settings."""

import sys
from collections.abc import Callable
from typing import NoReturn

import click

from mesaya_ws.environment import load_settings
from mesaya_ws.settings import Settings, SettingsError


def fail(sentence: str, status: int = 1) -> NoReturn:
    """Print why, and exit."""
    click.echo(f"mesaya-ws: {sentence}", err=True)
    sys.exit(status)


def usable_settings(load: Callable[[], Settings] = load_settings) -> Settings:
    """Return the settings; if some are wrong, print a sentence for each, and exit."""
    try:
        return load()
    except SettingsError as error:
        fail("\nmesaya-ws: ".join(f"{problem}." for problem in error.problems), 2)
