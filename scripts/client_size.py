#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'
"""How large the JavaScript client is, as it is loaded and as a bundler makes it: measured, for the documentation."""

import argparse
import gzip
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "mesaya_ws" / "web" / "client" / "mesaya-ws.js"
ESBUILD = ROOT / "tests" / "node" / "node_modules" / "esbuild" / "bin" / "esbuild"
PAGE = ROOT / "docs" / "javascript-client.md"
MARKED = re.compile(r"(<!-- client size -->\n).*?(<!-- /client size -->)", re.DOTALL)


def minified() -> bytes:
    """Return the client as esbuild makes it; `npm ci` in tests/node brings it along."""
    command = [ESBUILD, CLIENT, "--minify", "--format=esm"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def gzipped(content: bytes) -> int:
    """Return how many bytes are left of something."""
    return len(gzip.compress(content, 9))


def size_table() -> str:
    """Return the sizes, as Markdown."""
    forms = {"as the service hands it out, with comments": CLIENT.read_bytes(), "minified": minified()}
    rows = [
        f"| {form} | {len(content) / 1000:.1f} kB | {gzipped(content) / 1000:.1f} kB |"
        for form, content in forms.items()
    ]
    return "\n".join(["| size | | gzipped |", "|---|---:|---:|", *rows, ""])


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
