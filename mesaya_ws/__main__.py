"""The `mesaya-ws` command, also as `python -m mesaya_ws`."""

import sys

INTERRUPTED = 130
"""The status that shells give to what Ctrl-C ended: 128 and the number of SIGINT."""


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback, also while it is still being imported."""
    try:
        from mesaya_ws.cli import main as command

        command()
    except BaseException as error:
        if not _is_interruption(error):
            raise
    else:
        return
    sys.stderr.write("mesaya-ws: interrupted.\n")
    sys.exit(INTERRUPTED)


def _is_interruption(error: BaseException) -> bool:
    """Return whether `error` is a Ctrl-C, or a group of nothing else, as nurseries raise it."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_interruption, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


if __name__ == "__main__":
    main()
