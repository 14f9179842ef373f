"""Settings of who may do what."""

import typed_settings as ts

from mesaya_ws.settings.validators import a_bearer_token


@ts.settings(frozen=True, slots=False)
class AccessSettings:
    """Who may see and publish what."""

    auth: bool = ts.option(
        default=True,
        help="`off` opens private channels (`user:…`, `restaurant:…:reservations`) to everyone: for development only.",
    )
    auth_required: bool = ts.option(
        default=False,
        help="Whether clients without a token are closed with 4401 after HANDSHAKE_TIMEOUT, rather than served what is "
        "public.",
    )
    publish_token: ts.SecretStr = ts.secret(
        default=ts.SecretStr(""),
        validator=a_bearer_token,
        help="Bearer token for POST /publish, /broadcast, /revoke, /erase, and /holds; else all are closed.",
    )
