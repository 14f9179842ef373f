"""What goes over the wire: requests, frames, messages and codes."""
