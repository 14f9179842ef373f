"""What a process logs and counts, and how it is tuned."""
