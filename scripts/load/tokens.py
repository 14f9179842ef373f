"""Tokens of clients: signed as the platform's auth service does, with the secret that the service knows."""

import time

import jwt

LASTING = 86_400.0
"""Seconds until a token ends that is not to end during the run."""

ISSUER = "mesaYA-auth"
"""The service's JWT_ISSUER, by default."""


def token(secret: str, user: str, ends: float) -> str:
    """Return a token of a user that ends at a time (s since the epoch)."""
    claims = {"iss": ISSUER, "sub": user, "iat": int(time.time()), "exp": ends}
    return jwt.encode(claims, secret, "HS256")
