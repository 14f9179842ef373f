"""JSON as logs and terminals may show it, whoever has written the texts in it."""

_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def harmless(json: str) -> str:
    """Return the same JSON without what some readers take for the end of a line, and terminals for a command.

    In texts of JSON, it may stand as it is (RFC 8259, 7); there is none of it between them.
    """
    return json.translate(_ESCAPED)
