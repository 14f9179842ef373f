"""Certificates of authorities that a test makes for itself, in the one form that Kafka reads."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


def write_pem(path: Path, issued: trustme.LeafCert) -> str:
    """Write key and certificates, the key as PKCS 8; return the path."""
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = [certificate.bytes() for certificate in issued.cert_chain_pems]
    path.write_bytes(b"".join([key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), *chain]))
    return str(path)
