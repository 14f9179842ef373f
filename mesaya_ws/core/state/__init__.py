"""The interface of the state directory: what is known, kept on disk together with its place in the log."""
