"""Who signs tokens: the platform's auth service, as tests play it."""

import json
from base64 import urlsafe_b64encode
from functools import cache

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mesaya_ws.core.access.keys import Key
from mesaya_ws.core.access.tokens import TokenRules

NOW = 1_790_000_000.0
"""The time in these tests (s since 1970)."""

SECRET = "a secret of thirty-two bytes or more"

RULES = TokenRules("mesaYA-auth")


@cache
def private_key(kind="RSA", number=0):
    """Return a private key, the same one for the same number."""
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "RSA-1024":
            return rsa.generate_private_key(65537, 1024)
        case "EC":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()


ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "Ed25519": "EdDSA", "secret": "HS256"}


class Issuer:
    """Has one key, which it may call `id`; one of the kind `secret` has that."""

    def __init__(self, kind="Ed25519", id=None, number=0, secret=SECRET):
        self.kind, self.id = kind, id
        self.algorithm = ALGORITHMS[kind]
        self.private = secret if kind == "secret" else private_key(kind, number)

    @property
    def key(self):
        """The key that its tokens are verified with."""
        material = self.private.encode() if self.kind == "secret" else self.private.public_key()
        return Key(self.algorithm, material, self.id)

    @property
    def pem(self):
        """Its public key, as JWT_PUBLIC_KEY has it."""
        return public_pem(self.private)

    @property
    def jwk(self):
        """Its public key, as a key set has it."""
        row = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return row | {"kid": self.id, "use": "sig", "alg": self.algorithm}

    def token(self, header=(), **claims):
        """Return a token with the platform's claims, or others; those that are None are left out."""
        usual = {"iss": "mesaYA-auth", "sub": "u1", "email": "a@b.example", "roles": ["USER"], "iat": NOW - 60}
        usual |= {"exp": NOW + 3600, **claims}
        return self.signed(json.dumps({name: value for name, value in usual.items() if value is not None}), header)

    def signed(self, payload, header=()):
        """Return a token with any text as its payload, and with more in its header."""
        head = {"alg": self.algorithm, "typ": "JWT"} | ({"kid": self.id} if self.id else {}) | dict(header)
        return self.sealed(json.dumps({name: value for name, value in head.items() if value is not None}), payload)

    def sealed(self, header, payload):
        """Return a token of any two texts."""
        text = f"{part(header)}.{part(payload)}"
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        return f"{text}.{part(algorithm.sign(text.encode(), algorithm.prepare_key(self.private)))}"


def part(text):
    """Return a part of a token."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_pem(private):
    """Return the public half of a key pair as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private_pem(private):
    """Return a private key as PEM."""
    encryption = serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()
