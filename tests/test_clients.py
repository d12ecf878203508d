"""The driver of real socket.io-clients, tried against a stock python-socketio server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web

from tests.clients import AckFailed, NodeClients

Json = Any


@pytest.fixture
async def stock_url(unused_tcp_port: int) -> AsyncIterator[str]:
    """A server with one namespace that welcomes whoever says the word, and echoes."""
    server = socketio.AsyncServer(async_mode="aiohttp", namespaces=["/messaging"])

    async def connect(sid: str, _environ: Json, auth: Json) -> None:
        if auth != {"token": "word"}:
            raise socketio.exceptions.ConnectionRefusedError("refused", {"code": "AUTH_FAILED"})
        await server.emit("welcome", {"sid": sid}, to=sid, namespace="/messaging")

    async def echo(_sid: str, *args: Json) -> Json:
        return args

    async def never(_sid: str) -> None:
        await asyncio.sleep(60)

    for handler in (connect, echo, never):
        server.on(handler.__name__, handler, namespace="/messaging")
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield f"http://127.0.0.1:{unused_tcp_port}"
    await server.shutdown()
    await runner.cleanup()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_client_connects_hears_and_gets_acknowledgements(
    clients: NodeClients, stock_url: str, transport: str
) -> None:
    alice = await clients.connect(stock_url, auth={"token": "word"}, transports=[transport])
    connected = await alice.wait_for("connect")
    assert connected.fields["transport"] == transport
    assert connected.fields["recovered"] is False
    assert (await alice.wait_for("welcome")).data == {"sid": connected.fields["sid"]}
    assert await alice.emit_with_ack("echo", {"n": 1}) == {"n": 1}


async def test_a_refusal_tells_message_and_data(clients: NodeClients, stock_url: str) -> None:
    mallory = await clients.connect(stock_url, auth={"token": "guess"}, wait=False)
    refused = await mallory.wait_for("connect_error")
    assert refused.fields == {"message": "refused", "data": {"code": "AUTH_FAILED"}}
    with pytest.raises(AssertionError, match="refused"):
        await clients.connect(stock_url)


async def test_a_client_comes_back_by_itself_when_its_transport_breaks(
    clients: NodeClients, stock_url: str
) -> None:
    alice = await clients.connect(stock_url, auth={"token": "word"}, reconnectionDelay=10)
    before = len(alice.seen)
    await alice.break_connection()
    await alice.wait_for("disconnect")
    await alice.wait_for("connect", since=before)


async def test_a_client_that_left_comes_back_when_told_with_what_it_then_signs_in(
    clients: NodeClients, stock_url: str
) -> None:
    alice = await clients.connect(stock_url, auth={"token": "word"})
    await alice.disconnect()
    await alice.wait_for("disconnect")
    await alice.set_auth({"token": "guess"})
    await alice.open()
    await alice.wait_for("connect_error")


async def test_many_clients_share_one_process_and_many_sends_are_on_their_way(
    clients: NodeClients, stock_url: str
) -> None:
    both = [await clients.connect(stock_url, auth={"token": "word"}) for _ in range(2)]
    answers = [await client.send_with_ack("echo", n) for n in range(50) for client in both]
    assert await asyncio.gather(*answers) == [n for n in range(50) for _ in both]
    assert [len(client.events("welcome")) for client in both] == [1, 1]


async def test_an_acknowledgement_that_does_not_come_raises(clients: NodeClients, stock_url: str) -> None:
    alice = await clients.connect(stock_url, auth={"token": "word"})
    with pytest.raises(AckFailed):
        await alice.emit_with_ack("never", timeout=0.2)
