"""One client: what it asks, and what is handed over to it."""
