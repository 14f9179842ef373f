"""The real-time gateway of MesaYA: an event log in, WebSocket channels out."""


def __getattr__(name: str) -> str:
    """Return `__version__`, which takes a tenth of a command's start to find out: only who asks waits for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("mesaya-ws")
