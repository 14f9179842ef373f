"""The console without a browser: what it takes from others, its rules in Node, and its texts in both languages."""

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

import mesaya_ws
from mesaya_ws.core.feed.explanation import REASONS
from tests.e2e.node import FOLDER, install, required

HERE = Path(__file__).parent
CONSOLE = Path(mesaya_ws.__file__).parent / "web" / "console"
VENDORED = CONSOLE / "vendor" / "htm-preact-standalone.js"
MODULES = [path for path in CONSOLE.rglob("*.js") if path != VENDORED]
SOURCE = {path.relative_to(CONSOLE).as_posix(): path.read_text(encoding="utf-8") for path in MODULES}
TEXT = re.compile(r'^  "([\w.-]+)":\s+"((?:[^"\\]|\\.)*)",$', re.MULTILINE)


def texts(name):
    return dict(TEXT.findall(SOURCE[f"texts/{name}.js"]))


def sha512(content):
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


@pytest.mark.slow
def test_rules_hold_in_node():
    command = [required("node"), "--test", "--test-reporter=tap", str(HERE / "rules.test.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    counts = dict(re.findall(r"^# (tests|pass|skipped) (\d+)$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout
    assert int(counts["tests"]) > 15
    assert counts["pass"] == counts["tests"]


@pytest.mark.slow
def test_library_is_the_one_of_npm():
    install()
    package = FOLDER / "node_modules" / "htm"
    assert VENDORED.read_bytes() == (package / "preact" / "standalone.module.js").read_bytes()
    assert (CONSOLE / "vendor" / "LICENSE-htm.txt").read_bytes() == (package / "LICENSE").read_bytes()


def test_library_has_its_version_hash_and_licences_beside_it():
    said = (CONSOLE / "vendor" / "README.md").read_text(encoding="utf-8")
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]["node_modules/htm"]
    assert f"| {locked['version']} |" in said
    assert locked["license"] in said
    assert locked["integrity"].removeprefix("sha512-") in said
    assert sha512(VENDORED.read_bytes()) in said


def test_both_languages_have_the_same_texts():
    english, spanish = texts("en"), texts("es")
    assert list(english) == list(spanish)
    assert len(english) > 80
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", spanish[key])), key
        assert text.strip()
        assert spanish[key].strip()


def test_what_becomes_of_a_record_is_said_as_the_service_says_it():
    """So the page knows whether the service has more to say, which it only says in English."""
    said = {key.removeprefix("becomes."): text for key, text in texts("en").items() if key.startswith("becomes.")}
    assert said == {disposition.value: text for disposition, text in REASONS.items()}


def test_every_line_of_the_texts_is_one():
    for name in ("en", "es"):
        lines = SOURCE[f"texts/{name}.js"].splitlines()
        held = [line for line in lines if line.startswith('  "')]
        assert len(held) == len(texts(name)), "a text is written over several lines, or twice"


def test_every_text_is_used_and_every_text_that_is_used_is_there():
    code = "\n".join(text for name, text in SOURCE.items() if not name.startswith("texts/"))
    named = set(re.findall(r'"([a-z-]+\.[\w.-]+)"', code))
    made = re.findall(r"`([a-z-]+(?:\.[a-z-]+)*\.)\$\{", code) + re.findall(r"`\$\{\w+\}(\.[\w-]+)`", code)
    known = texts("en")
    called = set(re.findall(r'\bt\("([^"]+)"', code))
    assert called <= set(known)
    assert not [
        key
        for key in known
        if key not in named and not any(key.startswith(part) or key.endswith(part) for part in made)
    ]


def test_nothing_makes_html_of_a_text_nor_comes_from_elsewhere():
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)
    for name, text in {"index.html": page, **SOURCE}.items():
        forbidden = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert not forbidden, name
        assert "dangerouslySetInnerHTML" not in text
        assert not re.search(r'(?:src|href|from|import\()\s*=?\s*["\'(]\s*(?:https?:)?//', text), name


def test_files_are_short():
    for name, text in SOURCE.items():
        if not name.startswith("texts/"):
            assert text.count("\n") <= 260, name
