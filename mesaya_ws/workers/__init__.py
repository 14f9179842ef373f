"""Several processes on one port: the supervisor that starts and replaces them, and a worker's side of it."""
