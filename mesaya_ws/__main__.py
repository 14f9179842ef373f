"""`python -m mesaya_ws` is the `mesaya-ws` command."""

from mesaya_ws.cli import main

if __name__ == "__main__":
    main()
