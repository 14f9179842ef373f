import socket


def test_serve_says_when_it_cannot_listen(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {"HOST": "127.0.0.1", "PORT": str(port)}.items():
            monkeypatch.setenv(name, value)
        result = run("serve")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"mesaya-ws: cannot listen on 127.0.0.1:{port}: Address already in use."
