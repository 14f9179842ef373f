"""What ends the supervisor."""


class GaveUpError(Exception):
    """The workers cannot be started, or do not stay alive; the message is a sentence."""
