"""Workers of one machine: connections that are handed over, and figures that are shown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from messaging.supervisor import meeting_place
from messaging.transports import doorstep
from messaging.transports.neighbours import Neighbours


class Worker:
    """A small server that says who it is and who asks, and hands over what is asked of another."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.neighbours = Neighbours(folder, name)
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("of", self.name)
        if wanted == self.name:
            text = await request.text()
            return web.json_response({"name": self.name, "peer": request.remote, "body": text})
        transport = request.transport
        assert transport is not None
        transport.pause_reading()
        read = f"GET /?of={wanted} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode()
        if not await self.neighbours.hand_over(wanted, transport.get_extra_info("socket").fileno(), read):
            transport.resume_reading()
            return web.json_response({"name": None}, status=404)
        transport.abort()
        return web.Response()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        app = web.Application()
        app.router.add_get("/", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await self.neighbours.start(lambda: f"figures of {self.name}", partial(doorstep.adopted, runner))
        self.url = "http://{}:{}/".format(*runner.addresses[0][:2])
        try:
            yield self
        finally:
            await self.neighbours.close()
            await runner.cleanup()


@pytest.fixture
async def street() -> AsyncIterator[list[Worker]]:
    """Two workers beside each other."""
    with meeting_place() as folder:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(Worker(folder, name).running()) for name in ("a", "b")]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        yield session


async def test_a_connection_is_handed_over_with_what_was_read_and_stays_there(
    street: list[Worker], http: aiohttp.ClientSession
) -> None:
    answers = []
    for query in ("?of=b", "", "?of=b", "?of=a", ""):
        async with http.get(street[0].url + query) as answer:
            answers.append(await answer.json())
    assert [answer["name"] for answer in answers] == ["b", "b", "b", "a", "a"]
    assert {answer["peer"] for answer in answers} == {"127.0.0.1"}
    assert answers[0]["body"] == "hello"


async def test_a_neighbour_that_is_dead_is_told_from_one_that_is_not(
    street: list[Worker], http: aiohttp.ClientSession
) -> None:
    folder = street[0].neighbours._folder  # noqa: SLF001
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "dead"))
    dead.close()  # as a process that was killed leaves it
    assert street[0].neighbours.has("dead")
    assert await street[0].neighbours.figures() == ["figures of a", "figures of b"]
    assert not street[0].neighbours.has("dead")
    async with http.get(street[0].url + "?of=dead") as answer:
        assert answer.status == 404
    async with http.get(street[0].url) as answer:
        assert (await answer.json())["name"] == "a"
    await street[1].neighbours.close()
    assert await street[0].neighbours.figures() == ["figures of a"]


async def test_nonsense_on_its_socket_does_a_worker_no_harm(street: list[Worker]) -> None:
    folder = street[0].neighbours._folder  # noqa: SLF001
    for nonsense in (b"", b"X", b"XXXXX", b"H\x00\x00\x00\x05hello", b"\xff" * 5_000):
        _, writer = await asyncio.open_unix_connection(folder / "b")
        writer.write(nonsense)
        writer.close()
        await writer.wait_closed()
    assert await street[0].neighbours.figures() == ["figures of a", "figures of b"]
