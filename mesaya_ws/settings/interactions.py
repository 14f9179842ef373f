"""Settings of what clients bring in: chat, table holds, acknowledged news, presence."""

import typed_settings as ts

from mesaya_ws.settings.validators import plain_hosts, within


@ts.settings(frozen=True, slots=False)
class InteractionSettings:
    """What clients may bring in."""

    attachment_hosts: tuple[str, ...] = ts.option(
        default=(),
        validator=plain_hosts,
        help="Hosts that attachments of chat messages may point to (https), separated by commas; none: no attachments.",
    )
    hold_seconds: float = ts.option(
        default=300.0,
        validator=within(1, 900),
        help="Seconds for which a table is held for who selects it.",
    )
    hold_reconnect: float = ts.option(
        default=30.0,
        validator=within(0, 900),
        help="Seconds after the end of a user's last connection in which the user's holds wait for the next one.",
    )
    ack_remind: float = ts.option(
        default=0.0,
        validator=within(0, 86_400),
        help="Seconds after which a new reservation is sent again that nobody has acknowledged, three times; 0: never.",
    )
    presence_channels: int = ts.option(
        default=10_000,
        validator=within(0, 100_000),
        help="Channels of one process whose viewers it lets the others know, as far as somebody asks; 0: no client is "
        "sent who is on a channel, or typing.",
    )
