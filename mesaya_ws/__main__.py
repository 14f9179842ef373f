"""The `mesaya-ws` command, also as `python -m mesaya_ws`."""

import signal
import sys

INTERRUPTED = 130
"""The status that shells give to what Ctrl-C ended: 128 and the number of SIGINT."""


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback, also while it is still being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # At once: there is nothing to tidy up before something runs (see `cli.running`). An exception could come where
        # nobody can catch it, and be lost.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
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
