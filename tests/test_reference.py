"""The documentation and `.env.example` say what the code says."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from mesaya_ws import environment
from mesaya_ws.core.recovery.verdict import Unrecoverable

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))  # where a script finds those beside it
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "reference.py"))
PAGES = REFERENCE["PAGES"]
ALL = "".join(page.read_text(encoding="utf-8") for page in PAGES)


def anchors(page):
    """Return the anchors of a page's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_code(page):
    text = page.read_text(encoding="utf-8")
    assert REFERENCE["rewritten"](text) == text, "run scripts/reference.py"


@pytest.mark.parametrize("name", REFERENCE["tables"]())
def test_every_table_stands_on_one_page(name):
    assert ALL.count(f"<!-- {name} -->") == ALL.count(f"<!-- /{name} -->") == 1


def test_the_example_of_settings_is_that_of_the_code():
    assert REFERENCE["example"]() == (ROOT / ".env.example").read_text(encoding="utf-8"), "run scripts/reference.py"


def test_the_documentation_names_only_files_that_exist():
    for name in set(
        re.findall(r"`((?:scripts|tests|cli|client|core|eventlog|gateway|runtime|server|workers)/[\w./-]*)`", ALL)
    ):
        assert (ROOT / name).exists() or (ROOT / "mesaya_ws" / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), anchor


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_every_guarantee_names_the_tests_that_hold_it():
    page = ROOT / "docs" / "guarantees.md"
    promises = re.split(r"^\d\. ", page.read_text(encoding="utf-8").partition("\n## ")[0], flags=re.MULTILINE)[1:]
    assert promises
    for promise in promises:
        tests = re.findall(r"\]\((\.\./tests/[^)]*\.py)\)", promise)
        assert tests, promise
        for test in tests:
            assert "def test_" in (page.parent / test).read_text(encoding="utf-8"), test


def test_no_page_uses_a_former_name_of_a_setting():
    assert [name for name in environment._RENAMED if re.search(rf"`{name}\b", ALL)] == []


def test_the_protocol_lists_every_reason_of_a_gap():
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = protocol.partition("| reason | meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == {reason.value for reason in Unrecoverable}
