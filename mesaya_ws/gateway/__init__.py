"""One process that serves: its tasks, and how they are wired together."""
