"""What goes wrong with any command is said in sentences."""

import pytest


@pytest.mark.parametrize("command", [["serve"], ["produce", "--sample"], ["check"], ["tail", "global:restaurants"]])
def test_bad_settings_are_reported_without_a_traceback(run, monkeypatch, command):
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("AUTH", "perhaps")
    result = run(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "mesaya-ws: PORT must be a whole number, not 'x'.",
        "mesaya-ws: AUTH must be `on` or `off`, not 'perhaps'.",
    ]


def test_a_file_that_is_no_log(run, tmp_path):
    (tmp_path / "mesaya-ws.sqlite3").write_text("these are not the bytes of a database" * 50)
    for command in (["check"], ["produce", "--sample"], ["serve"]):
        result = run(*command)
        assert result.exit_code == 1, command
        # `serve` may warn before of what the machine does not allow.
        assert "is not an event log" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr


def test_version(run):
    assert run("--version").stdout.startswith("mesaya-ws, version ")
