"""Who may subscribe to what."""

from mesaya_ws.core.access.channels import Audience, Channel


def may_subscribe(channel: Channel, *, auth: bool) -> bool:
    """Return whether an anonymous client may subscribe: to public channels, and to all when `auth` is off."""
    return channel.kind.audience is Audience.PUBLIC or not auth
