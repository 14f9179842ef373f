"""The README and `.env.example` say what the code says."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "reference.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_the_readme_are_those_of_the_code():
    assert REFERENCE["rewritten"](README) == README, "run scripts/reference.py"
    assert README.count("`PING_INTERVAL`") >= 1
    assert "| 4008 | `slow` |" in README


def test_the_example_of_settings_is_that_of_the_code():
    assert REFERENCE["example"]() == (ROOT / ".env.example").read_text(encoding="utf-8"), "run scripts/reference.py"


def test_the_readme_names_only_files_that_exist():
    for name in set(re.findall(r"`((?:scripts|core|websocket|http_api|eventlog)/[\w./-]*)`", README)):
        assert (ROOT / name).exists() or (ROOT / "mesaya_ws" / name).exists(), name
