"""Plain WebSockets with the client that most servers in Node use: npm `ws`, which compresses by default."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from messaging.gateway import farewell
from messaging.transports.handshake import Limits
from tests.clients import NodeScript
from tests.gateway.house import token
from tests.transports.sockets import Site, serving

SECONDS = 10.0


class Node:
    """One client in a process of its own."""

    def __init__(self, script: NodeScript) -> None:
        self.script = script
        self._seen = script.lines()

    async def until(self, kind: str, name: str | None = None) -> Any:
        """The next thing of a kind that it sees; of messages, the next one of a type."""
        async with asyncio.timeout(SECONDS):
            async for seen in self._seen:
                if seen["kind"] == kind and name in (None, seen.get("frame", {}).get("type")):
                    return seen
        raise AssertionError("it ended first")


@asynccontextmanager
async def client(site: Site, path: str, *protocols: str) -> AsyncIterator[Node]:
    """A client of this site."""
    script = await NodeScript.start("websocket.js", site.url.replace("http", "ws") + path, *protocols)
    try:
        yield Node(script)
    finally:
        await script.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving(limits=Limits(ping_seconds=0.2, pong_seconds=0.2)) as made:
        yield made


async def test_it_signs_in_by_subprotocol_as_browsers_do(node: str, site: Site) -> None:
    async with client(site, "/ws/rooms", "bearer", token("alice")) as alice:
        assert (await alice.until("open"))["protocol"] == "bearer"
        await alice.script.send({"type": "ping"})
        await alice.until("message", "pong")


async def test_it_reads_why_it_is_refused(node: str, site: Site) -> None:
    async with client(site, "/ws/rooms?token=bad") as alice:
        assert (await alice.until("message"))["frame"]["code"] == "AUTH_FAILED"
        assert await alice.until("close") == {
            "kind": "close",
            "code": 4401,
            "reason": farewell.UNSIGNED.reason,
        }


async def test_what_is_compressed_arrives_whole_in_both_directions(node: str, site: Site) -> None:
    async with client(site, f"/ws/rooms?token={token('alice')}") as alice:
        assert (await alice.until("open"))["extensions"] == "permessage-deflate"
        await alice.script.send({"type": "join", "room": "hall"})
        await alice.until("message", "joined")
        for number in range(20):
            content = f"{number}" + " wörds and 😀" * (number * 15)
            await alice.script.send({"type": "message", "room": "hall", "content": content})
            assert (await alice.until("message", "message"))["frame"]["content"] == content


async def test_it_answers_pings_and_leaves_with_a_goodbye(node: str, site: Site) -> None:
    async with client(site, f"/ws/rooms?token={token('alice')}") as alice:
        for _ in range(3):
            await alice.until("ping")
        assert len(site.gateway.sessions) == 1
        await alice.script.send("close")
        assert (await alice.until("close"))["code"] == 1000
        await site.swept()


async def test_it_hears_that_the_server_stops(node: str, site: Site) -> None:
    async with client(site, f"/ws/rooms?token={token('alice')}") as alice:
        await alice.until("open")
        await site.gateway.drain(1.0)
        assert (await alice.until("close"))["code"] == 1012
