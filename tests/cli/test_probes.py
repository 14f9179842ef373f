"""What `check` asks of others, against servers of a few lines."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import typed_settings as ts

from mesaya_ws import __version__
from mesaya_ws.cli.probes import (
    LARGEST_ANSWER,
    NoAnswerError,
    Service,
    ask,
    find_service,
    platform_findings,
    service_findings,
)
from mesaya_ws.settings import Settings
from mesaya_ws.settings.display import fingerprints
from tests.cli.server import page, requests, serving


def gateway(settings, **health):
    """Return the pages of a service with such settings."""
    facts = {"version": __version__, "ready": True, "reasons": []} | health
    return {
        "/health": page(facts),
        "/configuration": page({"salt": "s", "fingerprints": fingerprints(settings, "s")}),
    }


def sentences(findings):
    return [(finding.is_error, finding.sentence) for finding in findings]


def reported(settings):
    return sentences(service_findings(find_service(settings), settings))


def test_no_service_gives_no_finding():
    with serving({}) as port:
        pass
    assert reported(Settings(host="127.0.0.1", port=port)) == []


def test_service_is_distinguished_from_none_and_from_silence():
    with serving({"/health": page({"version": "1", "ready": False})}) as port:
        assert find_service(Settings(host="127.0.0.1", port=port)).facts == {"version": "1", "ready": False}
    assert find_service(Settings(host="127.0.0.1", port=port)) == Service(f"127.0.0.1:{port}")
    assert find_service(Settings(host="127.0.0.1", port=port)).is_absent
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        port = listener.getsockname()[1]
        asked = threads.submit(find_service, Settings(host="127.0.0.1", port=port))
        listener.accept()[0].close()
        service = asked.result()
    assert not service.is_absent
    assert service.facts is None
    assert service.trouble.startswith(f"whether a service runs at 127.0.0.1:{port} is not known: it does not answer: ")


def test_service_with_the_same_settings_is_fine():
    pages = {}
    with serving(pages) as port:
        settings = Settings(host="127.0.0.1", port=port)
        pages.update(gateway(settings))
        assert reported(settings) == []


def test_service_with_other_settings_is_reported_with_their_names():
    pages = {}
    with serving(pages) as port:
        settings = Settings(host="127.0.0.1", port=port)
        pages.update(gateway(Settings(host="127.0.0.1", port=port, auth=False, send_queue_messages=7)))
        [(is_error, sentence)] = reported(settings)
    assert not is_error
    assert "runs with other settings than those here: AUTH, SEND_QUEUE_MESSAGES." in sentence


def test_service_of_another_version_that_is_not_ready_is_reported():
    pages = {}
    with serving(pages) as port:
        settings = Settings(host="127.0.0.1", port=port)
        pages.update(gateway(settings, version="0.0.9", reasons=["The history is being read."]))
        found = [sentence for _, sentence in reported(settings)]
    assert found == [
        f"the service at 127.0.0.1:{port} is of version 0.0.9, and this is {__version__}: restart it.",
        f"the service at 127.0.0.1:{port} says: The history is being read.",
    ]


@pytest.mark.parametrize("health", [(200, b"<html>"), page([]), page({"status": "ok"}), page({}, 404)])
def test_somebody_else_on_the_port_is_reported(health):
    with serving({"/health": health}) as port:
        [(_, sentence)] = reported(Settings(host="127.0.0.1", port=port))
    assert sentence == f"what listens at 127.0.0.1:{port} is not this service: choose another PORT, or end it."


def test_token_is_shown_to_the_service_and_to_nobody_else():
    pages = {}
    with serving(pages) as port:
        settings = Settings(host="127.0.0.1", port=port, publish_token=ts.SecretStr("a token"))
        assert len(reported(settings)) == 1
        assert requests == [("/health", None)]
        pages.update(gateway(settings))
        assert reported(settings) == []
        assert requests[1:] == [("/health", None), ("/configuration", "Bearer a token")]
        pages["/configuration"] = page({"error": {}}, 401)
        [(is_error, sentence)] = reported(settings)
    assert not is_error
    assert sentence == f"the service at 127.0.0.1:{port} runs with another PUBLISH_TOKEN than the one here."


RESTAURANTS = "/api/v1/restaurants?page=1&limit=1"


def platform(port):
    return sentences(platform_findings(Settings(platform_api_url=f"http://127.0.0.1:{port}/api/v1")))


def test_platform_that_is_not_set_is_not_asked():
    assert list(platform_findings(Settings())) == []


def test_platform_that_answers_with_restaurants_is_fine():
    with serving({RESTAURANTS: page({"data": []})}) as port:
        assert platform(port) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, b"nothing"), "answers 404, not 200"),
        ((500, b"nothing"), "answers 500, not 200"),
        ((200, b"<html>"), "does not answer with a list of restaurants"),
        (page([]), "does not answer with a list of restaurants"),
    ],
)
def test_platform_that_answers_otherwise_is_an_error(answer, words):
    with serving({RESTAURANTS: answer}) as port:
        [(is_error, sentence)] = platform(port)
    assert is_error
    assert words in sentence


def test_platform_that_does_not_answer_is_an_error():
    with serving({}) as port:
        pass
    [(is_error, sentence)] = platform(port)
    assert is_error
    assert sentence.endswith("it does not answer: Connection refused.")


@pytest.mark.parametrize(("ahead", "words"), [(120.0, "s ahead of ours"), (-120.0, "s behind ours")])
def test_clock_that_differs_is_reported(ahead, words):
    with serving({RESTAURANTS: page({"data": []})}, ahead) as port:
        [(is_error, sentence)] = platform(port)
    assert not is_error
    assert words in sentence


def test_answer_is_read_up_to_a_bound():
    with serving({"/": (200, b" " * (2 * LARGEST_ANSWER) + b"{}")}) as port:
        assert ask(f"http://127.0.0.1:{port}/").content is None


def test_what_is_no_http_is_no_answer():
    with pytest.raises(NoAnswerError, match="does not answer"):
        ask("http://a..b/")
