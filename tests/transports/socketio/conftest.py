"""Echo apps and an HTTP client for the tests of the Socket.IO transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.http import http_client
from tests.transports.socketio.echo import EchoApp

StartEcho = Callable[..., Awaitable[EchoApp]]


@pytest.fixture
async def start() -> AsyncIterator[StartEcho]:
    """`await start(**options)` runs an echo app until the test ends."""
    async with AsyncExitStack() as stack:

        async def start_one(**options: object) -> EchoApp:
            return await stack.enter_async_context(EchoApp(**options).running())

        yield start_one


@pytest.fixture
async def app(start: StartEcho) -> EchoApp:
    return await start()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with http_client(headers={"User-Agent": "a browser"}) as session:
        yield session
