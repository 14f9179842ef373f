#!/usr/bin/env -S sh -c 'exec "${0%/*}/python" "$0" "$@"'
"""Write what says the same as the code: the tables of the documentation (settings, codes), and .env.example."""

import re
from functools import cache
from pathlib import Path
from textwrap import wrap

import attrs
from message_sizes import size_rows

from mesaya_ws.core.wire.codes import CLOSE_CODES, ERROR_CODES
from mesaya_ws.core.wire.http_errors import HTTP_ERRORS
from mesaya_ws.settings import GROUPS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / ".env.example"


def table(heads, rows):
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def settings_rows(group):
    """Return name, default and meaning of every setting of a group."""
    for field in attrs.fields(group):
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        elif isinstance(default, bool):
            default = "on" if default else "off"
        yield [
            f"`{field.name.upper()}`",
            f"`{default}`" if str(default) else "",
            field.metadata["typed-settings"]["help"],
        ]


def settings_tables():
    """Return the tables of all groups, each under its title and what it is about."""
    return "\n\n".join(
        f"## {title}\n\n{group.__doc__}\n\n{table(['name', 'default', 'meaning'], settings_rows(group))}"
        for title, group in GROUPS.items()
    )


@cache
def tables():
    """Return the tables by the name of their markers."""
    return {
        "settings": settings_tables(),
        "close codes": table(
            ["code", "name", "meaning", "connect again?"],
            [
                [str(close.code), f"`{close.name}`", close.meaning, "yes" if close.reconnect else "no"]
                for close in sorted(CLOSE_CODES.values(), key=lambda close: close.code)
            ],
        ),
        "error codes": table(
            ["code", "meaning"], [[f"`{error.name}`", error.meaning] for error in ERROR_CODES.values()]
        ),
        "message sizes": table(["channel", "largest event", "largest snapshot", "snapshot of many"], list(size_rows())),
        "http errors": table(
            ["status", "code", "meaning"],
            [[str(error.status.value), f"`{error.code}`", error.meaning] for error in HTTP_ERRORS],
        ),
    }


def rewritten(text):
    """Return the page with its tables as they should be."""
    for name, content in tables().items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = marked.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
    return text


def example():
    """Return `.env.example`: every setting with its meaning and default, commented out."""
    lines = ["# Settings of mesaya-ws. Copy to .env, and change what you want; the environment wins."]
    for title, group in GROUPS.items():
        lines += ["", "", f"# --- {title}"]
        for name, default, meaning in settings_rows(group):
            lines += [
                "",
                *wrap(meaning, 110, initial_indent="# ", subsequent_indent="# "),
                f"#{name.strip('`')}={default.strip('`')}",
            ]
    return "\n".join(lines) + "\n"


def write(path, text):
    """Write a file, unless it says so already: others may be reading it."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"Written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    for page in PAGES:
        write(page, rewritten(page.read_text(encoding="utf-8")))
    write(EXAMPLE, example())
