"""Tokens as the platform signs them, and the settings of a gateway that believes them."""

import time

import jwt

SECRET = "a secret of thirty-two bytes or more"
SETTINGS = {"AUTH": "on", "JWT_SECRET": SECRET, "JWT_LEEWAY": "0", "PUBLISH_TOKEN": "publishing"}


def token(user: str, *roles: str, seconds: float = 3600, issued: float = 0) -> str:
    now = time.time() + issued
    claims = {"iss": "mesaYA-auth", "sub": user, "iat": int(now), "exp": now + seconds, "roles": roles}
    return jwt.encode(claims, SECRET, "HS256")
