"""Settings of what clients bring in: chat."""

import typed_settings as ts

from mesaya_ws.settings.validators import plain_hosts


@ts.settings(frozen=True, slots=False)
class InteractionSettings:
    """What clients may bring in."""

    attachment_hosts: tuple[str, ...] = ts.option(
        default=(),
        validator=plain_hosts,
        help="Hosts that attachments of chat messages may point to (https), separated by commas; none: no attachments.",
    )
