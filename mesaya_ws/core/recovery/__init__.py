"""How a client comes back: positions, the window, and whether what it missed can be told exactly."""
