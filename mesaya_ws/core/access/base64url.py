"""base64url without padding (RFC 7515, 2), in its one canonical spelling."""

from binascii import a2b_base64

_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
"""To the alphabet that Python decodes strictly; what is not of base64url becomes what is not of that one either."""

_PADDING = (b"", b"", b"==", b"=")
"""By how many characters there are beyond the last four."""

_LAST_OF_TWO, _LAST_OF_THREE = frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048")
"""The characters that end a text with two, or three, beyond the last four, and leave no bit over that is not zero."""


def decode_base64url(text: bytes) -> bytes:
    """Return the bytes that are written so. Raises `ValueError` for any other text, also if it could be understood."""
    beyond = len(text) % 4
    if beyond and (beyond == 1 or text[-1] not in (_LAST_OF_TWO if beyond == 2 else _LAST_OF_THREE)):
        raise ValueError("no canonical base64url")
    return a2b_base64(text.translate(_TO_BASE64) + _PADDING[beyond], strict_mode=True)
