"""Settings of the platform whose events are shown."""

import typed_settings as ts

from mesaya_ws.settings.validators import a_time_zone


@ts.settings(frozen=True, slots=False)
class PlatformSettings:
    """Where the platform is."""

    platform_timezone: str = ts.option(
        default="America/Guayaquil",
        validator=a_time_zone,
        help="Time zone of the platform, by its name in the IANA database. In it begins the day from which on "
        "`restaurant:…:reservations` shows reservations.",
    )
