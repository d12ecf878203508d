"""Connections on which nobody asks for anything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct

import aiohttp
import pytest
import uvloop
from aiohttp import web

from messaging.transports import doorstep


async def answer(_request: web.Request) -> web.Response:
    return web.Response(text="here")


async def test_who_asks_nothing_is_cut_and_who_has_asked_may_take_their_time() -> None:
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, keepalive_timeout=doorstep.KEEP_ALIVE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    watching = asyncio.create_task(doorstep.watch(runner, 0.1))
    host, port = runner.addresses[0][:2]
    silent, half = [await asyncio.open_connection(host, port) for _ in range(2)]
    half[1].write(b"GET / HTTP/1.1\r\nHost:")
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as http:
        for pause in (0.5, 0.0):
            async with http.get(f"http://{host}:{port}/") as answered:
                assert await answered.text() == "here"
            await asyncio.sleep(pause)
        assert runner.server is not None
        assert runner.server.requests_count == 2
        assert len(runner.server.connections) == 1
    for reader, writer in (silent, half):
        assert await ended(reader)
        writer.close()
    watching.cancel()
    await runner.cleanup()


def test_who_has_gone_while_it_was_handed_over_is_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_adopt_who_has_gone())
    gc.collect()  # of a task that failed, its end tells
    assert not caplog.records


async def _adopt_who_has_gone() -> None:
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for _ in range(20):
            client = socket.create_connection(listening.getsockname())
            connection, _ = listening.accept()
            connection.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # with a reset
            with contextlib.suppress(OSError):
                await doorstep.adopted(runner, connection, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionResetError:
        return True
