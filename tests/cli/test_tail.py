import pytest


@pytest.mark.parametrize(
    "url", ["nonsense", "http://localhost/ws", "ws://", "ws://:8080/ws", "ws://localhost:99999/ws", "ws://[/ws", ""]
)
def test_tail_wants_the_url_of_a_websocket(run, url):
    result = run("tail", "--url", url, "global:restaurants")
    assert result.exit_code == 2
    assert "it must be ws://host:port/ws" in result.stderr


def test_tail_wants_a_channel(run):
    assert run("tail").exit_code == 2
