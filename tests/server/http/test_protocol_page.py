"""The page of the protocol: all that is described is on it, in HTML that runs nothing."""

from html.parser import HTMLParser
from importlib.resources import files

import pytest

from mesaya_ws.server.http.asyncapi import document
from mesaya_ws.server.http.protocol_page import protocol_page

VOID = {"meta", "link"}


class Reader(HTMLParser):
    """Reads a page: its elements, and the texts of its articles; what is not well-formed is an error."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.in_line = [], set(), [], [], []
        self.articles = {}

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.in_line += [name for name in attrs if name == "style" or name.startswith("on")]
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        if tag == "article":
            self.articles[attrs["id"]] = []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "article" in self.open:
            self.articles[self.ids[-1]].append(data)


@pytest.fixture(scope="module")
def page():
    reader = Reader()
    reader.feed(protocol_page(document()))
    assert reader.open == []
    return reader


def names_of(schema):
    """Yield the names of all fields, however deep."""
    for name, part in schema.get("properties", {}).items():
        yield name
        yield from names_of(part)
    for part in (schema.get("items"), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if isinstance(part, dict):
            yield from names_of(part)


def kinds_of(schema):
    """Yield the types that a message may have, as far as they are listed."""
    kind = schema.get("properties", {}).get("type", {})
    yield from [kind["const"]] if "const" in kind else kind.get("enum", ())
    for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from kinds_of(part)


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_every_message_is_shown_with_all_of_its_fields(page, name):
    schema = document()["components"]["schemas"][name]
    assert {*names_of(schema), *kinds_of(schema)} <= set(page.articles[name])


def test_every_channel_is_shown():
    shown = protocol_page(document()).replace("<var>", "").replace("</var>", "")
    for channel in document()["channels"].values():
        assert f"<code>{channel['address']}</code>" in shown or channel["address"] == "/ws"


def test_every_link_leads_somewhere(page):
    targets = {f"#{id}" for id in page.ids}
    assert len(targets) == len(page.ids)
    assert {link for link in page.links if link not in targets} == {"/asyncapi.json", "/asyncapi.css"}


def test_nothing_on_it_is_run_or_styled_in_line(page):
    assert page.in_line == []
    assert not page.tags & {"script", "style", "img", "iframe", "form"}


def test_what_is_described_is_text():
    described = document()
    info = {**described["info"], "title": "<script>alert(1)</script>", "description": "a `<b>` & c"}
    shown = protocol_page({**described, "info": info})
    assert "<script" not in shown
    assert "a <code>&lt;b&gt;</code> &amp; c" in shown


async def test_page_is_handed_out_with_a_policy_that_allows_its_style_alone(service):
    answer = await service.get("/asyncapi")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self';")
    assert len(answer.body) < 200_000
    style = await service.get("/asyncapi.css")
    assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert style.body == (files("mesaya_ws") / "web" / "protocol" / "asyncapi.css").read_bytes()
    assert b"url(" not in style.body
