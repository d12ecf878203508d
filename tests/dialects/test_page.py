"""The page for people shows everything that the documents have, and trusts nothing in them."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser

from messaging.dialects import DIALECTS, asyncapi, openapi, page
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from messaging.dialects.pages import PAGES
from messaging.dialects.routes import ROUTES

REST = openapi.document("1.2.3")
PROTOCOLS = asyncapi.document("1.2.3")
HTML = page.page(REST, PROTOCOLS)
VOID = {"meta", "link"}


class Reader(HTMLParser):
    """Reads a page as a browser would, and keeps what matters here."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.places: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = {name: value or "" for name, value in attrs}
        assert not [name for name in found if name.startswith("on") or name in ("src", "style")]
        self.places += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


READER = Reader(HTML)


def test_every_command_event_and_route_is_shown() -> None:
    shown = set(READER.words)
    for dialect in DIALECTS.values():
        assert isinstance(dialect, Namespace | Frames)
        assert dialect.rows.keys() | {told.name for told in dialect.vocabulary.events} <= shown
    assert {row.path for row in ROUTES} | {row.path for row in PAGES} <= shown


def test_every_link_leads_to_one_place() -> None:
    assert READER.open == []
    assert len(READER.places) == len(set(READER.places))
    inside = {link.removeprefix("#") for link in READER.links if link.startswith("#")}
    assert inside <= set(READER.places)
    outside = {link for link in READER.links if not link.startswith("#")}
    assert outside == {"data:,", "/api/openapi.json", "/api/asyncapi.json"}


def test_there_is_no_script_and_nothing_from_elsewhere() -> None:
    assert not READER.tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"url\(|@import", HTML)
    policy = page.HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_what_the_documents_say_is_never_markup() -> None:
    rest, protocols = (copy.deepcopy(document) for document in (REST, PROTOCOLS))
    canary = "<img src=x onerror=alert(1)>\"'&"
    for document in (rest, protocols):
        _poison(document, canary)
    html = page.page(rest, protocols)
    assert "<img" not in html
    assert "&lt;img" in html
    assert "img" not in Reader(html).tags


def _poison(value: object, canary: str) -> None:
    """Every text that is shown says something bad."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("summary", "description", "title", "content", "version", "example") and isinstance(
                inner, str
            ):
                value[key] = canary
            else:
                _poison(inner, canary)
    elif isinstance(value, list):
        for inner in value:
            _poison(inner, canary)
