"""Unmodified clients talk to the echo app: socket.io-client in Node and python-socketio's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from messaging.gateway import farewell
from tests.clients import NodeClients
from tests.transports.socketio.echo import EchoApp
from tests.transports.socketio.raw import eventually

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_socket_io_client_keeps_every_event_in_order(
    app: EchoApp, clients: NodeClients, transports: list[str]
) -> None:
    alice = await clients.connect(app.url, "/custom", transports=transports, auth={"token": "good"})
    assert (await alice.wait_for("auth")).data == {"token": "good"}
    answers = [await alice.send_with_ack("x", number) for number in range(300)]
    assert await asyncio.gather(*answers) == list(range(300))
    server_side = await app.custom.client()
    assert [args for _, args in server_side.heard] == [[number] for number in range(300)]
    for number in range(200):
        server_side.emit("tick", number)
    await alice.wait_for("tick", where=lambda seen: seen.data == 199)
    assert [seen.data for seen in alice.events("tick")] == list(range(200))


async def test_socket_io_client_comes_back_after_a_lost_transport(app: EchoApp, clients: NodeClients) -> None:
    alice = await clients.connect(app.url, "/", transports=["websocket"], reconnectionDelay=20)
    (await app.main.client()).place.close(farewell.FAULT)
    await alice.wait_for("disconnect")
    await alice.wait_for("connect", since=len(alice.seen))
    assert (await app.main.client(1)).farewells == []


async def test_socket_io_client_stays_away_when_it_is_removed(app: EchoApp, clients: NodeClients) -> None:
    alice = await clients.connect(app.url, "/", transports=["websocket"], reconnectionDelay=20)
    (await app.main.client()).place.close(farewell.REMOVED)
    assert (await alice.wait_for("disconnect")).fields["reason"] == "io server disconnect"


async def test_socket_io_client_is_told_why_it_is_refused(app: EchoApp, clients: NodeClients) -> None:
    alice = await clients.connect(app.url, "/", wait=False, auth={"token": "bad"})
    refused = await alice.wait_for("connect_error")
    assert refused.fields["message"] == "The token is bad."
    assert refused.fields["data"] == {"code": "AUTH_FAILED", "details": {}}


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_python_socketio_talks_to_us(app: EchoApp, transports: list[str]) -> None:
    client = socketio.AsyncClient()
    back: asyncio.Queue[Any] = asyncio.Queue()
    client.on("message-back", back.put, namespace="/custom")
    await client.connect(app.url, namespaces=["/custom"], transports=transports)
    assert await client.call("x", {"a": b"\x01"}, namespace="/custom") == {"a": b"\x01"}
    for number in range(50):
        await client.emit("message", number, namespace="/custom")
    assert [await asyncio.wait_for(back.get(), 5) for _ in range(50)] == list(range(50))
    await client.disconnect()
    server_side = await app.custom.client()
    await eventually(lambda: len(server_side.farewells) == 1 and not app.sockets)
