"""Files go out page by page, as fast as the client takes them, and not for ever to one that takes nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from messaging.domain.commands import PutConversation, SendMessage
from messaging.domain.errors import ClientError
from messaging.gateway.gateway import Gateway
from messaging.transports import rest as module
from messaging.transports.entrance import Entrance
from messaging.transports.origins import Origins
from messaging.transports.rest import Rest
from tests.gateway.house import House, built, token, until
from tests.stage import service

MESSAGES, CHARACTERS = 3_000, 4_000


@asynccontextmanager
async def exporting(gateway: Gateway) -> AsyncIterator[tuple[str, int]]:
    """The address of a server of REST."""
    app = web.Application()
    app.add_routes(Rest(gateway, Entrance(gateway), Origins(())).routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield host, port
    finally:
        await runner.cleanup()


async def filled(house: House) -> None:
    """A group of alice's with more text than the buffers of both ends take."""
    await house.one.do(PutConversation(conversation_id="g", member_ids=("alice",)))
    said = SendMessage(conversation_id="g", content="x" * CHARACTERS, sender_id="alice")
    for _ in range(3):
        await asyncio.gather(*(house.one.gateway.perform(service(), said) for _ in range(MESSAGES // 3)))


def asked(address: tuple[str, int]) -> socket.socket:
    """A client that has asked for an export."""
    client = socket.socket()
    client.connect(address)
    line = f"GET /api/conversations/g/export?token={token('alice')} HTTP/1.1\r\nHost: x\r\n\r\n"
    client.sendall(line.encode())
    client.setblocking(False)
    return client


async def rest_of(client: socket.socket) -> bytes:
    """What still comes, up to the end of the connection."""
    loop, found = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(20):
            while data := await loop.sock_recv(client, 1 << 16):
                found += data
    except ConnectionResetError:
        pass
    return found


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.2)
    async with built() as house:
        await filled(house)
        async with exporting(house.one.gateway) as address:
            client = asked(address)
            refused: list[ClientError] = []
            refusal_of = house.one.gateway.refusal_of

            def noted(error: BaseException) -> ClientError:
                refused.append(refusal_of(error))
                return refused[-1]

            monkeypatch.setattr(house.one.gateway, "refusal_of", noted)
            await until(lambda: refused)
            assert refused[0].code == "UNAVAILABLE"
            got = await rest_of(client)
            assert got.startswith(b"HTTP/1.1 200")
            assert len(got) < MESSAGES * CHARACTERS
            assert not got.endswith(b"0\r\n\r\n")  # nobody takes a part for the whole
            client.close()


async def test_a_client_that_is_slow_gets_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 1.0)
    async with built() as house:
        await filled(house)
        async with exporting(house.one.gateway) as address:
            client = asked(address)
            loop, got = asyncio.get_running_loop(), 0
            async with asyncio.timeout(60):
                while not (data := await loop.sock_recv(client, 1 << 16)).endswith(b"0\r\n\r\n"):
                    assert data, "cut off"
                    got += len(data)
                    await asyncio.sleep(0.02)  # altogether longer than one write may take
            assert got > MESSAGES * CHARACTERS
            client.close()
