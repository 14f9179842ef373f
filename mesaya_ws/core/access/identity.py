"""Who a client is."""

from math import inf
from typing import NamedTuple


class Identity(NamedTuple):
    """A user, as a token said; or as the client said itself, where `AUTH=off` believes everybody.

    Times are seconds since 1970. `roles` are the token's: the log may have others since then (`access.rights`).
    """

    user: str
    roles: tuple[str, ...] = ()
    issued_at: float | None = None
    """None: not said."""
    expires_at: float = inf
    """From then on, and the leeway later, the identity counts no more; `inf`: never."""
