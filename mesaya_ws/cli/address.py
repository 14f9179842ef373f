"""Where a command finds the service that has the same settings."""

from mesaya_ws.settings import Settings

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a service listens on


def service_address(settings: Settings) -> str:
    """Return `host:port` of the service: where it listens everywhere, on this machine."""
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
