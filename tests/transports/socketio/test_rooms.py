"""Rooms, what other programs emit, and a contract test for the parts of the library that we override."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

import aiohttp
import engineio
import pytest
import socketio
from engineio.async_socket import AsyncSocket

from messaging.transports.socketio.manager import LocalRooms, RedisRooms
from messaging.transports.socketio.server import SocketServer
from tests.servers import RedisServer
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import EchoApp, EchoClient
from tests.transports.socketio.raw import RawWebSocket, eventually


async def listener(app: EchoApp, http: aiohttp.ClientSession, room: str) -> tuple[RawWebSocket, EchoClient]:
    number = len(app.main.clients)
    ws = await RawWebSocket.open(http, app.url)
    await ws.connect()
    assert await ws.next() == '42["auth",{}]'
    client = await app.main.client(number)
    client.place.entered(room)
    return ws, client


async def test_an_emit_reaches_the_room_and_nobody_else(app: EchoApp, http: aiohttp.ClientSession) -> None:
    (one, first), (two, _), (other, _) = [await listener(app, http, room) for room in ("1", "1", "2")]
    await app.server.emit("news", {"a": 1}, room="conversation:1", skip_sid=first.place.sid)
    await app.server.emit("end", ("x", b"\x01"), room=["conversation:1", "conversation:2"])
    end = ['451-["end","x",{"_placeholder":true,"num":0}]', b"\x01"]
    assert [await two.next() for _ in range(3)] == ['42["news",{"a":1}]', *end]
    assert [await one.next() for _ in range(2)] == end
    assert [await other.next() for _ in range(2)] == end


@pytest.mark.parametrize("to", [None, "", 0, []])
async def test_an_emit_to_nobody_in_particular_raises(app: EchoApp, to: Any) -> None:
    with pytest.raises(ValueError, match="room"):
        await app.server.emit("news", {}, to=to)


async def test_who_left_hears_nothing_and_leaves_no_trace(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await listener(app, http, "1")
    assert app.server.rooms(client.place.sid) == [client.place.sid, "conversation:1"]
    client.place.left("1")
    await app.server.emit("news", {}, room="conversation:1")
    await ws.send('42["message","next"]')
    assert await ws.next() == '42["message-back","next"]'
    client.place.entered("2")
    await app.server.disconnect(client.place.sid)
    assert await ws.next() == "41"
    assert app.server.manager.rooms == {}
    assert app.server.manager.population == 0
    client.place.entered("3")
    assert app.server.manager.rooms == {}


async def test_an_emit_with_a_callback_brings_back_the_ack(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await listener(app, http, "1")
    answers: list[Any] = []
    await app.server.emit("question", {"a": 1}, to=client.place.sid, callback=answers.append)
    assert await ws.next() == '421["question",{"a":1}]'
    await ws.send('431["answer"]')
    await eventually(lambda: answers == ["answer"])


async def test_what_another_program_emits_through_redis_arrives(
    start: StartEcho, http: aiohttp.ClientSession, redis_url: str
) -> None:
    app = await start(redis_url=redis_url)
    ws, _ = await listener(app, http, "1")
    await asyncio.wait_for(app.server.manager.listening.wait(), 5)
    stock = socketio.RedisManager(redis_url, write_only=True)
    await asyncio.to_thread(stock.emit, "x", {"a": [1]}, room="conversation:1", namespace="/")
    await asyncio.to_thread(stock.emit, "y", b"\x02", room="conversation:1", namespace="/")
    assert await ws.next() == '42["x",{"a":[1]}]'
    assert [await ws.next(), await ws.next()] == ['451-["y",{"_placeholder":true,"num":0}]', b"\x02"]


async def test_the_listener_comes_back_after_a_restart_of_redis(
    start: StartEcho, http: aiohttp.ClientSession, own_redis: RedisServer
) -> None:
    app = await start(redis_url=own_redis.url)
    ws, _ = await listener(app, http, "1")
    await asyncio.wait_for(app.server.manager.listening.wait(), 5)
    own_redis.kill()
    await eventually(lambda: not app.server.manager.listening.is_set())
    own_redis.start()
    await asyncio.wait_for(app.server.manager.listening.wait(), 10)
    stock = socketio.RedisManager(own_redis.url, write_only=True)
    await asyncio.to_thread(stock.emit, "x", 1, room="conversation:1", namespace="/")
    assert await ws.next() == '42["x",1]'


async def test_payloads_are_in_no_log(
    app: EchoApp, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ws, _ = await listener(app, http, "1")
        await ws.send('421["message","canary-text"]', '42["canary-name"]')
        assert await ws.next() == '431["canary-text"]'
        await app.server.emit("x", "canary-emit", room="conversation:1")
        await ws.next()
    assert "canary" not in caplog.text


def test_the_library_still_has_what_we_override() -> None:
    for ours, theirs, names in (
        (
            SocketServer,
            socketio.AsyncServer,
            ("emit", "disconnect", "_send_packet", "_trigger_event"),
        ),
        (SocketServer, socketio.AsyncServer, ("_engineio_server_class", "_handle_eio_message")),
        (
            LocalRooms,
            socketio.AsyncManager,
            ("emit", "basic_enter_room", "basic_leave_room", "basic_disconnect"),
        ),
        (LocalRooms, socketio.AsyncManager, ("get_rooms", "get_participants", "trigger_callback")),
        (
            RedisRooms,
            socketio.AsyncRedisManager,
            ("_listen", "_thread", "_publish", "_handle_emit", "initialize"),
        ),
        (RedisRooms, socketio.AsyncRedisManager, ("_redis_connect",)),
    ):
        for name in names:
            theirs_takes = set(inspect.signature(getattr(theirs, name)).parameters)
            ours_takes = inspect.signature(getattr(ours, name)).parameters
            flexible = any(one.kind is one.VAR_KEYWORD for one in ours_takes.values())
            assert flexible or theirs_takes <= set(ours_takes), name
    assert {"handle_request", "create_queue", "generate_id"} <= set(dir(engineio.AsyncServer))
    assert {"send", "close"} <= set(dir(AsyncSocket))
    assert (socketio.__version__ if hasattr(socketio, "__version__") else "5.").startswith("5.")
