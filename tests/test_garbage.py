"""A connection that is over is gone at once, without a look of the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from messaging.app import Service
from messaging.settings import read_settings
from messaging.tokens import mint
from messaging.transports.connection import Connection
from messaging.transports.line import Line
from messaging.transports.socketio.socket import EngineSocket
from tests.transports.socketio.raw import eventually

SECRET = "not a secret, but long enough to be one"
LIMIT_SECONDS = 10.0
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Service, str]]:
    """A service in this process, and its URL."""
    for name, value in {
        "JWT_SECRET": SECRET,
        "DATABASE_PATH": ":memory:",
        "PRESENCE_GRACE_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    service = Service(read_settings())
    runner = web.AppRunner(service.web_app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield service, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextmanager
def without_collector() -> Iterator[None]:
    """Nothing looks for rings of references."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def connections() -> list[object]:
    """All that there is of connections that are, or were, WebSockets."""
    return [each for each in gc.get_objects() if isinstance(each, Line | EngineSocket | Connection)]


async def come_and_go(url: str, path: str) -> None:
    token = mint(SECRET, "alice", now=datetime.now(UTC), ttl=timedelta(hours=1))
    async with aiohttp.ClientSession() as http, http.ws_connect(url + path.replace("TOKEN", token)) as ws:
        if path == SOCKET_IO:
            await ws.send_str("40/messaging," + json.dumps({"token": token}))
            await ws.send_str('42/messaging,1["join-conversation",{"conversationId":"general"}]')
            await ws.send_str('42/messaging,2["send-message",{"conversationId":"general","content":"x"}]')
        else:
            await ws.send_str("no frame")  # which is answered
        async with asyncio.timeout(LIMIT_SECONDS):
            while "43/messaging,2" not in (said := str((await ws.receive()).data)) and path == SOCKET_IO:
                assert said


@pytest.mark.parametrize(
    "path", [SOCKET_IO, "/ws?token=TOKEN", "/ws/rooms?token=TOKEN", "/ws/chat?token=TOKEN"]
)
async def test_nothing_of_a_session_waits_for_the_collector(service: tuple[Service, str], path: str) -> None:
    gateway, url = service[0].gateway, service[1]
    seen: list[weakref.ref[object]] = []
    admit = gateway.hub.follow

    async def noted(session: object) -> object:
        seen.append(weakref.ref(session))
        return await admit(session)  # type: ignore[arg-type]  # it is a session

    gateway.hub.follow = noted  # type: ignore[assignment, method-assign]  # to see it without keeping it
    with without_collector():
        of_others = connections()  # of tests before this one
        await come_and_go(url, path)
        await eventually(lambda: bool(seen) and all(ref() is None for ref in seen))
        await eventually(lambda: len(connections()) == len(of_others))
