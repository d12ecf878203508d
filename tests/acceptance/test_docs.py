"""`/docs` and its two documents, from the real server and in a real browser."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from messaging import __version__
from messaging.dialects import DIALECTS, asyncapi
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from tests.browser import Browser
from tests.servers import ServerProcess

NAMES = [
    name
    for dialect in DIALECTS.values()
    if isinstance(dialect, Namespace | Frames)
    for name in (*dialect.rows, *(told.name for told in dialect.vocabulary.events))
]
PHONE, DESK = 390, 1280


async def test_the_document_of_the_protocols_is_served(
    servers: tuple[ServerProcess, ...], http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{servers[0].url}/api/asyncapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == asyncapi.document(__version__)


@pytest.mark.parametrize("width", [PHONE, DESK])
async def test_the_page_is_read_in_a_browser(
    servers: tuple[ServerProcess, ...], chromium: str, tmp_path: Path, width: int
) -> None:
    url = f"{servers[0].url}/docs"
    async with Browser.running(chromium, tmp_path) as browser:
        await browser.show(url, width=width)
        shown = await browser.value("[...document.querySelectorAll('main .name')].map(e => e.textContent)")
        assert set(NAMES) <= set(shown)
        # The style was taken, so the policy lets through what the page needs, and nothing scrolls sideways.
        assert await browser.value("getComputedStyle(document.querySelector('nav')).position") == "sticky"
        await browser.value("document.querySelectorAll('details').forEach(e => { e.open = true })")
        assert await browser.value("document.documentElement.scrollWidth") <= width
        assert browser.complaints == []
        assert set(browser.requests) == {url}


async def test_a_link_opens_what_it_leads_to_by_night_too(
    servers: tuple[ServerProcess, ...], chromium: str, tmp_path: Path
) -> None:
    async with Browser.running(chromium, tmp_path) as browser:
        await browser.show(f"{servers[0].url}/docs#messaging-command-send-message", width=PHONE, dark=True)
        opened = await browser.value(
            "[...document.querySelectorAll('details[open] .name')].map(e => e.textContent)"
        )
        assert opened == ["send-message"]
        shade = await browser.value("getComputedStyle(document.body).backgroundColor")
        assert shade == "rgb(15, 20, 26)"
