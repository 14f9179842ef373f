"""How a client comes back: positions, the window, and whether it can get exactly what it missed."""
