"""How long a client waits for what."""

from attrs import frozen


@frozen
class Timings:
    """Seconds; the defaults are for clients on the internet, of which there are many."""

    connect_timeout: float = 15.0
    """In which a WebSocket must be open, from the look-up of the name to the end of the handshake."""
    max_backoff: float = 30.0
    """Between two attempts to connect, at most."""
    ping_interval: float = 20.0
    """Between two pings. Their answers move the positions of quiet channels on, before the log removes what they point
    to. If nothing at all is received for twice as long, or a message is not taken, the connection counts as broken."""
    close_timeout: float = 2.0
    """For the closing handshake of a connection."""
    cancelled_close_timeout: float = 0.1
    """For the close frame of a session that is cancelled."""
    token_timeout: float = 30.0
    """In which a token must be had; then the function that gets it is cancelled, and called again later."""
    token_interval: float = 5.0
    """Between two tokens, at least: one that is about to end when it is new must not be asked for all the time."""
    retry_interval: float = 1.0
    """After which a request is sent again whose answer was that it cannot be done now."""
    max_retry_interval: float = 10.0
    """That a request waits by itself where the gateway says after how many seconds it may be sent again."""


DEFAULTS = Timings()
