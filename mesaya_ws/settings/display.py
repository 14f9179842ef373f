"""The settings as they are shown to people, and compared with those of another process."""

from collections.abc import Iterator
from hashlib import sha256

import attrs
import typed_settings as ts

from mesaya_ws.settings import Settings


def shown(settings: Settings) -> Iterator[tuple[str, str]]:
    """Return the settings as they could be given, by name; secrets are hidden."""
    for field in attrs.fields(Settings):
        value = getattr(settings, field.name)
        match value:
            case ts.SecretStr():
                text = "(hidden)" if value else ""
            case bool():
                text = "on" if value else "off"
            case tuple():
                text = ", ".join(value)
            case _:
                text = str(value)
        yield field.name.upper(), text


def fingerprints(settings: Settings, salt: str) -> dict[str, str]:
    """Return a short hash of each setting, by name, so that two processes can compare without showing their values.

    Secret settings are left out. `salt` is chosen anew by each process.
    """
    return {
        name: sha256(f"{salt} {name} {text}".encode()).hexdigest()[:12]
        for name, text in shown(settings)
        if not isinstance(getattr(settings, name.lower()), ts.SecretStr)
    }
