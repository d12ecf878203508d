"""Engine.IO spoken by hand, with aiohttp's client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

import aiohttp

SECONDS = 5.0


async def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something is so, as soon as it is."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the server has no event for each thing that a test asks about
            await asyncio.sleep(0.005)


class RawPolling:
    """A long-polling client without any cleverness."""

    def __init__(self, http: aiohttp.ClientSession, url: str, sid: str, hello: dict[str, Any]) -> None:
        self.http = http
        self.url = url
        self.sid = sid
        self.hello = hello

    @classmethod
    async def open(
        cls, http: aiohttp.ClientSession, base: str, path: str = "/socket.io/", **query: str
    ) -> Self:
        url = base + path
        async with http.get(url, params={"EIO": "4", "transport": "polling", **query}) as answer:
            assert answer.status == 200, await answer.text()
            text = await answer.text()
        hello = json.loads(text[1:])
        return cls(http, url, hello["sid"], hello)

    @property
    def query(self) -> dict[str, str]:
        return {"EIO": "4", "transport": "polling", "sid": self.sid}

    async def poll(self) -> list[str]:
        status, text = await self.get()
        assert status == 200, text
        return text.split("\x1e")

    async def get(self) -> tuple[int, str]:
        async with asyncio.timeout(SECONDS), self.http.get(self.url, params=self.query) as answer:
            return answer.status, await answer.text()

    async def post(self, *packets: str) -> tuple[int, str]:
        return await self.post_body("\x1e".join(packets).encode())

    async def post_body(self, body: Any) -> tuple[int, str]:
        async with asyncio.timeout(SECONDS), self.http.post(self.url, params=self.query, data=body) as answer:
            return answer.status, await answer.text()

    async def until(self, *beginnings: str) -> list[str]:
        """Poll until a packet begins like the last of `beginnings`; all packets but pings."""
        seen: list[str] = []
        while not any(packet.startswith(beginnings[-1]) for packet in seen):
            seen += [packet for packet in await self.poll() if packet not in ("2", "6")]
        return seen


class RawWebSocket:
    """A WebSocket that speaks Engine.IO; `next` skips pings, and answers them."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.hello: dict[str, Any] = {}

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        base: str,
        path: str = "/socket.io/",
        sid: str | None = None,
        **query: str,
    ) -> Self:
        params = {"EIO": "4", "transport": "websocket", **query}
        if sid is not None:
            params["sid"] = sid
        raw = cls(await http.ws_connect(base + path, params=params, max_msg_size=0, autoclose=True))
        if sid is None:
            raw.hello = json.loads((await raw.next())[1:])
        return raw

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            await (self.ws.send_str(packet) if isinstance(packet, str) else self.ws.send_bytes(packet))

    async def next(self) -> Any:
        """The next message; None when the connection is closed."""
        while True:
            message = await self.ws.receive(timeout=SECONDS)
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return None
            if message.data != "2":
                return message.data
            await self.ws.send_str("3")

    async def connect(self, namespace: str = "/", auth: Any = None) -> Any:
        """Enter a namespace and give the answer, without what follows it."""
        prefix = "40" if namespace == "/" else f"40{namespace},"
        await self.send(prefix + ("" if auth is None else json.dumps(auth)))
        return await self.next()

    async def closed(self) -> int | None:
        """Wait for the end; the close code."""
        while await self.next() is not None:
            pass
        return self.ws.close_code
