"""A temporary directory that workers share, made when it is first needed."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from mesaya_ws.workers.errors import GaveUpError


class SharedDirectory:
    """A directory that exists from the first call of `path` until `stack` is closed; `made` is set with the first."""

    def __init__(self, stack: ExitStack) -> None:
        self.made = trio.Event()
        self._stack = stack
        self._path: Path | None = None

    def path(self) -> Path:
        """Return the directory. Raises `GaveUpError` when it cannot be made."""
        if self._path is None:
            try:
                self._path = Path(self._stack.enter_context(TemporaryDirectory(prefix="mesaya-ws-")))
            except OSError as error:
                raise GaveUpError(
                    f"The workers need a directory for temporary files (TMPDIR): {error.strerror}."
                ) from error
            self.made.set()
        return self._path
