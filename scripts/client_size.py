#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'
"""How large the JavaScript client is, as it is loaded and as a bundler makes it: measured, for the documentation."""

import argparse
import gzip
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "mesaya_ws" / "web" / "client"
PARTS = {
    "mesaya-ws.js": "always",
    "mesaya-ws-requests.js": "with the first `publish`, `ack`, `hold` or `chat`",
    "mesaya-ws-chat.js": "with the first `chat`",
    "mesaya-ws-hold.js": "with the first `hold`",
    "mesaya-ws-events.js": "where WebSockets do not pass, with `fallback`",
}
"""The files of the client, and when each is loaded."""

ESBUILD = ROOT / "tests" / "node" / "node_modules" / "esbuild" / "bin" / "esbuild"
PAGE = ROOT / "docs" / "javascript-client.md"
MARKED = re.compile(r"(<!-- client size -->\n).*?(<!-- /client size -->)", re.DOTALL)


def minified(name: str = "mesaya-ws.js") -> bytes:
    """Return a file of the client as esbuild makes it; `npm ci` in tests/node brings it along."""
    command = [ESBUILD, CLIENT / name, "--minify", "--format=esm"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def gzipped(content: bytes) -> int:
    """Return how many bytes are left of something."""
    return len(gzip.compress(content, 9))


def size_table() -> str:
    """Return the sizes, as Markdown."""
    rows = []
    for name, loaded in PARTS.items():
        served, small = (CLIENT / name).read_bytes(), minified(name)
        sizes = " | ".join(f"{size / 1024:.1f} KiB" for size in (gzipped(served), len(small), gzipped(small)))
        rows.append(f"| `{name}` | {loaded} | {sizes} |")
    head = "| file | loaded | as handed out, gzipped | minified | and gzipped |\n|---|---|---:|---:|---:|"
    return "\n".join([head, *rows, ""])


def page_with_sizes() -> str:
    """Return the page about the client, with the sizes as they are now."""
    return MARKED.sub(lambda found: f"{found[1]}{size_table()}{found[2]}", PAGE.read_text(encoding="utf-8"))


def main() -> None:
    """Show the sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write them into docs/javascript-client.md")
    if parser.parse_args().write:
        PAGE.write_text(page_with_sizes(), encoding="utf-8")
    sys.stdout.write(size_table())


if __name__ == "__main__":
    main()
