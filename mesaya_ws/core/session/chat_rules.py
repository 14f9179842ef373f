"""What all sessions of an instance share of chat: limits, clocks, and where attachments may lie."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from attrs import define, field

from mesaya_ws.core.session.sender_limits import SenderLimits


@define
class ChatRules:
    """The rules for all sessions of an instance; `attachment_hosts` are those that attachments may point to.

    `clock` never steps, and is in seconds; `time_ms` returns ms since 1970.
    """

    attachment_hosts: Collection[str]
    clock: Callable[[], float]
    time_ms: Callable[[], int]
    limits: SenderLimits = field(factory=SenderLimits, init=False)

    def may_attach(self, url: str) -> bool:
        """Return whether an attachment may point there."""
        try:
            parts = urlsplit(url)
            host, user, port = parts.hostname, parts.username, parts.port
        except ValueError:
            return False
        return host in self.attachment_hosts and user is None and port in (None, 443)
