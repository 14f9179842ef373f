"""Settings of who may do what."""

import typed_settings as ts


@ts.settings(frozen=True, slots=False)
class AccessSettings:
    """Who may see and publish what."""

    auth: bool = ts.option(
        default=True,
        help="`off` opens private channels (`user:…`, `restaurant:…:reservations`) to everyone: for development only.",
    )
    publish_token: ts.SecretStr = ts.secret(
        default=ts.SecretStr(""),
        help="Bearer token for POST /publish and /broadcast; without it both are closed.",
    )
