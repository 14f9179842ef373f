import socket


def test_serve_says_when_it_cannot_listen(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {"HOST": "127.0.0.1", "PORT": str(port)}.items():
            monkeypatch.setenv(name, value)
        result = run("serve")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"mesaya-ws: cannot listen on 127.0.0.1:{port}: Address already in use."


def test_host_and_port_options_are_checked_like_settings(run, monkeypatch):
    for name in ("HOST", "PORT"):
        monkeypatch.setenv(name, "")  # what the command sets is undone
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--host", "127.0.0.1", "--port", port)
    assert result.stderr.splitlines()[-1] == f"mesaya-ws: cannot listen on 127.0.0.1:{port}: Address already in use."
    result = run("serve", "--port", "99999999")
    assert (result.exit_code, result.stderr) == (2, "mesaya-ws: PORT must be from 0 to 65535, not 99999999.\n")


def test_hints_come_first_when_they_are_asked_for(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("HOST", "127.0.0.1")
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        result = run("serve", "--hints", "./mesaya-ws")
    assert result.stderr.startswith("Events come from ")
    assert "  ./mesaya-ws tail --snapshot global:restaurants" in result.stderr.splitlines()


def test_serve_says_loudly_that_no_key_is_configured(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name, value in {"HOST": "127.0.0.1", "PORT": str(taken.getsockname()[1])}.items():
            monkeypatch.setenv(name, value)
        without = run("serve")
        monkeypatch.setenv("JWT_SECRET", "x" * 32)
        with_one = run("serve")
    assert "no key for tokens: only public channels are open" in without.stderr
    assert "no key for tokens" not in with_one.stderr
