import attrs
import pytest
from click.testing import CliRunner

from mesaya_ws.cli import main
from mesaya_ws.settings import Settings


@pytest.fixture
def run(tmp_path, monkeypatch, logged):
    """Run a command in a directory of its own, on an embedded log; nothing is set."""
    monkeypatch.chdir(tmp_path)
    for field in attrs.fields(Settings):
        monkeypatch.delenv(field.name.upper(), raising=False)

    def invoke(*arguments, stdin=None):
        return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)

    return invoke
