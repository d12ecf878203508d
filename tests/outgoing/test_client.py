"""The way out: bounded, and to public addresses only. Against real receivers on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from messaging.outgoing.client import Outgoing, OutgoingFailed, OutgoingRefused, check_target

ASKED = web.AppKey("asked", list[str])


@pytest.fixture
async def receiver() -> AsyncIterator[TestServer]:
    """Answers, redirects, says too much, or nothing."""
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/asked"})

    async def echo(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=await request.read(), headers={"Cookies": request.headers.get("Cookie", "")})

    async def long(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/elsewhere", elsewhere), web.post("/echo", echo), web.get("/long", long)])
    app.add_routes([web.get("/silent", silent)])
    app[ASKED] = asked
    server = TestServer(app, host="127.0.0.1")
    async with server:
        yield server


@pytest.fixture
async def inside() -> AsyncIterator[Outgoing]:
    """A client that may go anywhere."""
    client = Outgoing(allow_private=True, timeout_seconds=0.5)
    yield client
    await client.close()


@pytest.fixture
async def outside() -> AsyncIterator[Outgoing]:
    """A client that may go to public addresses only."""
    client = Outgoing()
    yield client
    await client.close()


async def test_a_body_is_sent_and_the_answer_read(inside: Outgoing, receiver: TestServer) -> None:
    answer = await inside.post(str(receiver.make_url("/echo")), b"hello", {"X-Y": "z"})
    assert (answer.status, answer.body) == (200, b"hello")


async def test_redirects_are_not_followed(inside: Outgoing, receiver: TestServer) -> None:
    answer = await inside.post(str(receiver.make_url("/elsewhere")), b"", {})
    assert answer.status == 302
    assert receiver.app[ASKED] == []


async def test_a_long_answer_is_cut_off(inside: Outgoing, receiver: TestServer) -> None:
    answer = await inside.get(str(receiver.make_url("/long")), max_bytes=1000)
    assert (answer.status, answer.body) == (200, None)


async def test_who_does_not_answer_in_time_failed(inside: Outgoing, receiver: TestServer) -> None:
    with pytest.raises(OutgoingFailed, match="in time"):
        await inside.get(str(receiver.make_url("/silent")), max_bytes=10)


async def test_who_is_not_there_failed(inside: Outgoing) -> None:
    with pytest.raises(OutgoingFailed, match="cannot be reached"):
        await inside.get("http://127.0.0.1:1/", max_bytes=10)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/"),
        *(
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1:8443/",
            "ftp://example.org/",
            "x",
            "",
        ),
        *("https://", "file:///etc/passwd", "https://[fe80::1%25eth0]/"),
    ],
)
async def test_what_is_not_outside_by_its_url_is_refused(outside: Outgoing, url: str) -> None:
    with pytest.raises(OutgoingRefused):
        check_target(url, allow_private=False)
    with pytest.raises(OutgoingRefused):
        await outside.post(url, b"", {})


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"])
async def test_a_name_that_leads_inside_is_refused(
    outside: Outgoing, receiver: TestServer, host: str
) -> None:
    with pytest.raises((OutgoingRefused, OutgoingFailed)):
        await outside.post(f"https://{host}:{receiver.port}/echo", b"", {})
    assert receiver.app[ASKED] == []


async def test_localhost_is_told_to_be_inside(outside: Outgoing, receiver: TestServer) -> None:
    with pytest.raises(OutgoingRefused, match="private network"):
        await outside.post(f"https://localhost:{receiver.port}/echo", b"", {})
