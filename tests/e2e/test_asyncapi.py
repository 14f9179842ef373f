"""The description of the protocol that a gateway serves, as AsyncAPI's own parser reads it."""

import json
import subprocess

import pytest

from tests.e2e.node import FOLDER, install


@pytest.mark.slow
def test_parser_of_asyncapi_finds_nothing_wrong(start_gateway, tmp_path):
    node = install()
    described = start_gateway().request("/asyncapi.json")[2]
    (tmp_path / "asyncapi.json").write_bytes(described)
    done = subprocess.run(
        [node, FOLDER / "validate_asyncapi.js", tmp_path / "asyncapi.json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {"version": "3.1.0", "problems": []}


@pytest.mark.slow
def test_parser_of_asyncapi_notices_what_is_wrong(tmp_path):
    node = install()
    (tmp_path / "asyncapi.json").write_text('{"asyncapi": "3.1.0", "info": {"title": "x"}}')
    command = [node, FOLDER / "validate_asyncapi.js", tmp_path / "asyncapi.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["problems"]
