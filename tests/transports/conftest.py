"""Connections without a gateway for the tests of plain WebSockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from messaging.transports import line
from messaging.transports.handshake import Limits
from tests.transports.connections import Server, Start
from tests.transports.rfc6455 import RawClient, eventually


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goodbyes take no longer than they must."""
    assert line.LINGER_SECONDS < 1.0
    monkeypatch.setattr(line, "LINGER_SECONDS", 0.2)


@pytest.fixture
async def start(hasty: None) -> AsyncIterator[Start]:
    """`await start(limits)` gives a server and a client of it, until the test ends."""
    async with AsyncExitStack() as stack:

        async def start_one(
            limits: Limits | None = None,
            join: Callable[[Sequence[str]], str] | None = None,
            headers: str = "",
            slow: bool = False,
        ) -> tuple[Server, RawClient]:
            server = Server(limits or Limits(), join)
            await stack.enter_async_context(server.running())
            client = await stack.enter_async_context(
                RawClient.connected(server.url, headers=headers, slow=slow)
            )
            await eventually(lambda: server.connections)
            return server, client

        yield start_one
