"""Several processes that share a port: the parent, and what a worker has of it and of the others."""
