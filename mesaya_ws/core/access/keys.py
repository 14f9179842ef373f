"""The keys that tokens are verified with. A key decides its algorithm; what a token says of itself decides nothing.

Keys are read from text once, at the start or when the issuer's key set is read. From then on they are key objects: no
text is ever both a public key and a secret, which is how RS256 tokens have been forged as HS256 ones.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWTError, get_algorithm_by_name
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RS256 = "RS256"
"""RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3)."""

PUBLIC_ALGORITHMS = (RS256, "ES256", "EdDSA")
"""Those of the keys that an issuer can publish."""

_PKCS1, _SHA256 = PKCS1v15(), SHA256()

RSA_BITS = 2048
"""The least size of an RSA key (RFC 7518, 3.3)."""

SECRET_BYTES = 32
"""The least size of a secret: that of the hash (RFC 7518, 3.2)."""

MAX_KEYS = 16
"""Keys of a PEM or a key set: a token without a `kid` may be tried with each."""

LONGEST_KEY_ID = 256
"""Characters of a `kid`."""

LONGEST_MODULUS = 1366
"""Characters of an RSA key's modulus in a key set: 8,192 bits. To verify with a longer one takes too long."""

_BEGIN = "-----BEGIN "

_OF_JWK: Mapping[tuple[str, str | None], type[RSAAlgorithm] | type[ECAlgorithm] | type[OKPAlgorithm]] = {
    ("RSA", None): RSAAlgorithm,
    ("EC", "P-256"): ECAlgorithm,
    ("OKP", "Ed25519"): OKPAlgorithm,
}
"""Who reads a JSON Web Key, by `kty` and `crv`."""


class BadKeyError(ValueError):
    """No key to verify tokens with; the message says why, in words that follow the name of what was given."""


@frozen
class Key:
    """A key for one algorithm; `id` is what tokens call it by (`kid`), if the issuer's key set says so."""

    algorithm: str
    material: Any = field(repr=False)
    id: str | None = None

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key's owner has signed `text` so."""
        if self.algorithm != RS256:
            return get_algorithm_by_name(self.algorithm).verify(text, self.material, signature)
        # What PyJWT does as well, with objects that are made once: a handshake with a new token waits for this.
        try:
            self.material.verify(signature, text, _PKCS1, _SHA256)
        except InvalidSignature:
            return False
        return True


def public_keys(text: str) -> tuple[Key, ...]:
    """Return the public keys of one or more PEMs, one after another. Raises `BadKeyError`."""
    lead, *blocks = text.split(_BEGIN)
    if lead.strip() or not blocks:
        raise BadKeyError("is no PEM: it must begin with `-----BEGIN PUBLIC KEY-----`")
    if len(blocks) > MAX_KEYS:
        raise BadKeyError(f"holds more than {MAX_KEYS} keys")
    return tuple(_public_key(block.partition("-----")[0], _BEGIN + block.strip() + "\n") for block in blocks)


def _public_key(label: str, pem: str) -> Key:
    if "PRIVATE" in label:
        raise BadKeyError("holds a private key: give the public one, and keep the private one where tokens are signed")
    if label not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
        raise BadKeyError("holds a PEM that is no public key, such as a certificate: give the public key alone")
    if not pem.rstrip().endswith(f"-----END {label}-----"):
        raise BadKeyError(f"holds a public key that does not end with `-----END {label}-----`")
    try:
        material = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("holds a public key that cannot be read: is a part of it missing?") from None
    return _key(material)


def _key(material: object, id: str | None = None) -> Key:
    """Return the key with the algorithm that goes with what it is. Raises `BadKeyError`."""
    match material:
        case RSAPublicKey():
            if material.key_size < RSA_BITS:
                raise BadKeyError(f"holds an RSA key of {material.key_size} bits: {RSA_BITS} are the least")
            return Key(RS256, material, id)
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return Key("ES256", material, id)
        case Ed25519PublicKey():
            return Key("EdDSA", material, id)
    raise BadKeyError("holds a public key of another kind than RSA, P-256 and Ed25519")


def secret_key(secret: str) -> Key:
    """Return the key that a shared secret is. Raises `BadKeyError`."""
    if _BEGIN in secret or secret.startswith(("ssh-", "ecdsa-sha2-")):
        raise BadKeyError("is a key of a pair, which others may know: give JWT_PUBLIC_KEY the public one")
    raw = secret.encode("utf-8", "surrogateescape")
    if len(raw) < SECRET_BYTES:
        raise BadKeyError(f"is shorter than {SECRET_BYTES} bytes, and could be guessed: `openssl rand -base64 48`")
    return Key("HS256", raw)


def key_set(document: object) -> tuple[Key, ...]:
    """Return the keys of a JSON Web Key Set (RFC 7517) that tokens can be verified with; others are passed over.

    Raises `BadKeyError` when there is none, or when the set is too large.
    """
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise BadKeyError("is no JSON Web Key Set: it has no list `keys`")
    if len(rows) > MAX_KEYS:
        raise BadKeyError(f"holds more than {MAX_KEYS} keys")
    keys = tuple(key for row in rows if (key := _of_jwk(row)) is not None)
    if not keys:
        raise BadKeyError("holds no key that tokens can be verified with")
    return keys


def _of_jwk(row: object) -> Key | None:
    """Return the key of a JSON Web Key; None: it is for something else, of another kind, too small, or broken."""
    if not isinstance(row, dict) or "d" in row or row.get("use", "sig") != "sig":
        return None
    operations, id = row.get("key_ops", ["verify"]), row.get("kid")
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if id is not None and (not isinstance(id, str) or len(id) > LONGEST_KEY_ID):
        return None
    kind, curve = row.get("kty"), row.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    if len(str(row.get("n", ""))) > LONGEST_MODULUS:
        return None
    reader = _OF_JWK.get((kind, curve))
    try:
        key = _key(reader.from_jwk(row), id) if reader else None
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None
    return key if key and row.get("alg", key.algorithm) == key.algorithm else None
