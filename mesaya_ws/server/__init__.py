"""What listens: one port, two protocols."""
