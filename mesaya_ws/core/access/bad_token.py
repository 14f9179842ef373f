"""What can be wrong with a token; apart from `tokens`, whose libraries only who verifies tokens need import."""

from enum import Enum

from attrs import field, frozen

from mesaya_ws.core.wire.identifiers import IDENTIFIER_FORM


class Flaw(Enum):
    """What can be wrong with a token, and the sentence that says so: of the token itself, it never says anything."""

    TOO_LONG = "The token is longer than 8 KiB."
    MALFORMED = "The token is no signed JWT: three parts in base64url, and JSON objects in the first two."
    REPEATED = "The token says something twice: a name may stand in an object only once."
    TYPE = "The token's `typ` is neither `JWT` nor `at+jwt`."
    CRITICAL = "The token's header has `crit`, and no extension of tokens is understood here."
    ALGORITHM = "The token's `alg` is not that of the key that tokens are verified with."
    UNKNOWN_KEY = "The token was signed with a key that is not known here."
    SIGNATURE = "The token's signature is wrong."
    EXPIRY = "The token has no `exp`, or one that is no time in seconds."
    EXPIRED = "The token has expired."
    SUBJECT = f"The token's `sub` is no user's id: {IDENTIFIER_FORM}"
    ISSUER = "The token's `iss` is not JWT_ISSUER."
    AUDIENCE = "The token's `aud` does not name JWT_AUDIENCE."
    NOT_BEFORE = "The token's `nbf` is no time in seconds, or is still to come."
    ISSUED = "The token's `iat` is no time in seconds, or is still to come."
    TOO_OLD = "The token is older, or would last longer, than JWT_MAX_AGE."
    ROLES = "The token's `roles` are not a list of texts."
    REVOKED = "The token has been revoked."
    NO_KEY = "Tokens cannot be verified here: no key is configured."


@frozen
class BadToken:
    """A token that says nobody who they are."""

    flaw: Flaw
    may_lack_a_key: bool = field(default=False, eq=False)
    """Whether it may have been signed with a key that is not at hand."""

    @property
    def sentence(self) -> str:
        """What is wrong, in a sentence without anything of the token."""
        return self.flaw.value
