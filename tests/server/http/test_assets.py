"""The client that the service hands out: the file of the package, in a form that browsers run, and may keep."""

import gzip
from pathlib import Path

import pytest

import mesaya_ws
from tests.server.http.client import ask, request

CLIENT = Path(mesaya_ws.__file__).parent / "web" / "client"
PATH = "/client/mesaya-ws.js"


async def test_client_is_the_file_of_the_package_and_a_module_for_browsers(service):
    answer = await service.get(PATH)
    assert answer.status == 200
    assert answer.body == (CLIENT / "mesaya-ws.js").read_bytes()
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in answer.headers


async def test_all_modules_of_the_package_are_handed_out(service):
    modules = [path.name for path in CLIENT.glob("*.js")]
    assert len(modules) == 5
    for name in modules:
        answer = await service.get(f"/client/{name}")
        assert answer.body == (CLIENT / name).read_bytes()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_types_are_beside_the_client(service):
    answer = await service.get("/client/mesaya-ws.d.ts")
    assert answer.body == (CLIENT / "mesaya-ws.d.ts").read_bytes()
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
async def test_client_is_packed_for_who_takes_that(service, accepted, is_packed):
    answer = await service.get(PATH, ("Accept-Encoding", accepted))
    assert (answer.headers.get("content-encoding") == "gzip") is is_packed
    assert "Accept-Encoding" in answer.headers["vary"]
    body = gzip.decompress(answer.body) if is_packed else answer.body
    assert body == (CLIENT / "mesaya-ws.js").read_bytes()


async def test_client_that_is_kept_already_is_not_sent_again(service):
    tag = (await service.get(PATH)).headers["etag"]
    packed = (await service.get(PATH, ("Accept-Encoding", "gzip"))).headers["etag"]
    assert tag != packed
    for known in (tag, f'"other", W/{tag}', "*"):
        answer = await service.get(PATH, ("If-None-Match", known))
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert (await service.get(PATH, ("If-None-Match", packed))).status == 200


async def test_pages_of_allowed_origins_may_import_the_client(service):
    answer = await service.get(PATH, ("Origin", "http://localhost:4200"))
    assert answer.headers["access-control-allow-origin"] == "http://localhost:4200"


async def test_client_is_not_to_be_written(service):
    answer = await ask(service.app, request("POST", PATH), method="POST")
    assert (answer.status, answer.error) == (405, "method_not_allowed")
    answer = await ask(service.app, request("HEAD", PATH), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/client/", "/client/package.json", "/client/../client/mesaya-ws.js", "/client/%2e%2e/x"]
)
async def test_nothing_else_of_the_folder_is_handed_out(service, path):
    assert (await service.get(path)).status == 404


CONSOLE = Path(mesaya_ws.__file__).parent / "web" / "console"


async def test_console_is_a_page_that_runs_nothing_but_what_comes_from_here(service):
    for path in ("/console", "/console/index.html"):
        answer = await service.get(path)
        assert answer.body == (CONSOLE / "index.html").read_bytes()
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_console_has_all_that_its_page_loads_and_nothing_else(service):
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
    for file in CONSOLE.rglob("*"):
        answer = await service.get(f"/console/{file.relative_to(CONSOLE).as_posix()}")
        if file.suffix in types:
            assert answer.body == file.read_bytes()
            assert answer.headers["content-type"].partition(";")[0] == types[file.suffix]
        elif file.suffix != ".html":
            assert answer.status == 404


async def test_nothing_outside_of_the_console_is_handed_out(service):
    for path in (
        "/console/../client/README.md",
        "/console/%2e%2e/client/package.json",
        "/console/vendor",
        "/console/x.js",
    ):
        assert (await service.get(f"/console{path}")).status == 404
