"""Settings of the platform whose events are shown."""

import typed_settings as ts

from mesaya_ws.settings.validators import a_time_zone, within


@ts.settings(frozen=True, slots=False)
class PlatformSettings:
    """Where the platform is, and how long its past matters."""

    platform_timezone: str = ts.option(
        default="America/Guayaquil",
        validator=a_time_zone,
        help="Time zone of the platform, by its name in the IANA database. In it begins the day from which on "
        "`restaurant:…:reservations` shows reservations.",
    )
    keep_settled_days: int = ts.option(
        default=400,
        validator=within(1, 36_500),
        help="Days after their last record for which reservations and payments are known that are settled: rejected, "
        "cancelled, completed, no-show; failed, refunded. Later records of a forgotten one are of an unknown one. The "
        "same on all instances.",
    )
