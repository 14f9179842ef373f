"""The address at which a command finds the service with the same settings."""

from mesaya_ws.settings import Settings

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a service listens on


def service_address(settings: Settings) -> str:
    """Return `host:port` of the service; on this machine if it listens on all addresses."""
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
