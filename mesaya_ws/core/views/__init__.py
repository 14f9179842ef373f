"""What channels show: a noun's events and its part of a snapshot."""
