"""A condition that is logged once when it begins, and once when it ends, however often it is met in between."""

from typing import Any


class Alarm:
    """Logs `began` as a warning when the condition begins, and `ended` when it is over (None: nothing).

    `log` is a logger of `mesaya_ws.runtime.logs`.
    """

    def __init__(self, log: Any, began: str, ended: str | None = None) -> None:
        self.is_raised = False
        self._log = log
        self._began = began
        self._ended = ended

    def set(self, **details: object) -> None:
        """Note that the condition holds; `details` are logged if it begins now."""
        if not self.is_raised:
            self._log.warning(self._began, **details)
        self.is_raised = True

    def clear(self, **details: object) -> None:
        """Note that the condition does not hold; `details` are logged if it ends now."""
        if self.is_raised and self._ended is not None:
            self._log.info(self._ended, **details)
        self.is_raised = False
