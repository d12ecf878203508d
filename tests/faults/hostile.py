"""Clients that mean no good, or nothing any more: they stop reading, or never finish what they began."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from tests.faults.load import Client, Gone, token
from tests.transports.socketio.raw import RawPolling, RawWebSocket

RECEIVE_BYTES = 4096
"""How much the kernel takes for a client that does not read: little, so that the server notices soon."""


def _narrow(info: Any) -> socket.socket:
    """A socket with a small window, for aiohttp's connector."""
    family, kind, protocol, _, _ = info
    narrow = socket.socket(family, kind, protocol)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    return narrow


@asynccontextmanager
async def narrow_http() -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose connections take little at a time; none is used twice."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_narrow)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http


class Wire:
    """A bare TCP connection. Nothing is read from it unless asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, base: str) -> Self:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setblocking(False)
        address = urlsplit(base)
        await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
        return cls(*await asyncio.open_connection(sock=sock, limit=RECEIVE_BYTES))

    async def say(self, text: str) -> None:
        self._writer.write(text.encode())
        await self._writer.drain()

    async def cut(self) -> bool:
        """Whether the other side has ended it; reads what there is."""
        try:
            return not await self._reader.read(65536)
        except OSError:
            return True

    def close(self) -> None:
        self._writer.transport.abort()


async def stalled_websocket(
    http: aiohttp.ClientSession, base: str, user: str, conversation: str
) -> RawWebSocket:
    """Joins, and then never reads again."""
    client = await RawWebSocket.open(http, base)
    assert (await client.connect("/messaging", {"token": token(user)})).startswith("40/messaging")
    await client.send(joining(conversation))
    while not (await client.next()).startswith("43/messaging,1["):
        pass
    connection = client.ws._conn  # noqa: SLF001  aiohttp has no other way to stop reading
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()
    return client


async def signed_in(http: aiohttp.ClientSession, base: str, user: str) -> RawPolling:
    """A client that polls."""
    client = await RawPolling.open(http, base)
    await client.post(f"40/messaging,{json.dumps({'token': token(user)})}")
    await client.until("40/messaging")
    return client


async def joined_by_polling(
    http: aiohttp.ClientSession, base: str, user: str, conversation: str
) -> RawPolling:
    """Joins, and does not poll any more."""
    client = await signed_in(http, base, user)
    await client.post(joining(conversation))
    await client.until("43/messaging,1[")
    return client


async def stalled_poll(client: RawPolling, base: str) -> Wire:
    """Asks for what is there, and never reads the answer."""
    wire = await Wire.open(base)
    await wire.say(f"GET /socket.io/?EIO=4&transport=polling&sid={client.sid} HTTP/1.1\r\nHost: x\r\n\r\n")
    return wire


async def endless_post(http: aiohttp.ClientSession, base: str, user: str) -> Wire:
    """Begins a body and does not end it."""
    client = await signed_in(http, base, user)
    wire = await Wire.open(base)
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={client.sid} HTTP/1.1\r\nHost: x\r\n"
    await wire.say(f'{head}Content-Length: 1000\r\n\r\n42/messaging,["send-')
    return wire


async def half_a_request(base: str) -> Wire:
    """Begins a request and does not end its head."""
    wire = await Wire.open(base)
    await wire.say("GET /socket.io/?EIO=4 HTTP/1.1\r\nHost:")
    return wire


async def flood(client: Client) -> None:
    """Asks without end, and reads all answers."""
    with contextlib.suppress(Gone):
        while not client.gone.is_set():
            await client.say("2", '["list-conversations",{}]', 1)
            await asyncio.sleep(0)


def joining(conversation: str) -> str:
    """The packet that joins, and wants ack 1."""
    return f"42/messaging,1{json.dumps(['join-conversation', {'conversationId': conversation}])}"
