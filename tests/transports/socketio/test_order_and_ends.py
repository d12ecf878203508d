"""Events in order, unreadable packets, and ends that are told once and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import socket as network
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from messaging.gateway import farewell
from messaging.gateway.farewell import Farewell
from messaging.gateway.paced import AT_ONCE
from tests.transports.rfc6455 import TEXT, RawClient, established
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import SUITE_LIMITS, EchoApp, EchoClient
from tests.transports.socketio.raw import RawPolling, RawWebSocket, eventually


async def entered(app: EchoApp, http: aiohttp.ClientSession) -> tuple[RawWebSocket, EchoClient]:
    ws = await RawWebSocket.open(http, app.url)
    await ws.connect()
    assert await ws.next() == '42["auth",{}]'
    return ws, await app.main.client()


async def gone(app: EchoApp) -> None:
    """Wait until nothing is left of anybody."""
    await eventually(lambda: not app.sockets and app.server.connections == 0)
    assert app.server.manager.rooms == {}
    assert app.server.manager.population == 0


async def test_events_are_handled_and_acked_in_order(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await entered(app, http)
    await ws.send(*(f'42{number}["x",{number}]' for number in range(200)))
    assert [await ws.next() for _ in range(200)] == [f"43{number}[{number}]" for number in range(200)]
    assert [args for _, args in client.heard] == [[number] for number in range(200)]


async def test_a_client_that_waits_is_not_read_meanwhile(app: EchoApp, http: aiohttp.ClientSession) -> None:
    polling = await RawPolling.open(http, app.url)
    await polling.post("40")
    client = await app.main.client()
    client.gate.clear()
    posting = asyncio.create_task(polling.post('42["message",1]'))
    done, _ = await asyncio.wait({posting}, timeout=0.1)
    assert not done
    client.gate.set()
    assert await posting == (200, "ok")


async def test_a_client_that_takes_no_answers_is_not_asked_for_more(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=SUITE_LIMITS)
    polling = await RawPolling.open(http, app.url)
    await polling.post("40")
    client = await app.main.client()
    posting = asyncio.create_task(polling.post(*(f'42{number}["x"]' for number in range(1000))))
    answers: list[str] = []
    while not posting.done():
        answers += [packet for packet in await polling.poll() if packet.startswith("43")]
    answers += await polling.poll()
    assert [answer for answer in answers if answer.startswith("43")] == [
        f"43{number}[]" for number in range(1000)
    ]
    assert client.farewells == []


async def test_a_client_that_takes_no_answers_at_all_is_closed_as_silent(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=SUITE_LIMITS)
    polling = await RawPolling.open(http, app.url)
    await polling.post("40")
    client = await app.main.client()
    await polling.post(*(f'42{number}["x"]' for number in range(1000)))
    assert client.farewells == [farewell.SILENT]
    assert len(client.heard) < 256
    await gone(app)


@pytest.mark.parametrize(
    "packet",
    [
        "4abc", "47", "4", "44", "42", '44{"message":"x"}', "42{}", "42[]", '42abc["x"]', '42["x"',
        '4212-["x"]',
        "43[1]", "43", '41["x"]', '45["x"]', '450-["x"]', '4599-["x"]', "40[1]", "40NaN", b"\x01",
        '451-["x",{"_placeholder":true,"num":0}]42', '421234567890123456["x"]',
    ],
)  # fmt: skip
async def test_a_packet_that_cannot_be_read_closes_and_cleans_up_at_once(
    app: EchoApp, http: aiohttp.ClientSession, packet: Any
) -> None:
    ws, client = await entered(app, http)
    await ws.send(packet)
    assert await ws.closed() == 1002
    assert client.farewells == [farewell.UNREADABLE]
    await gone(app)


@pytest.mark.parametrize(
    "payload", ["NaN", "Infinity", '"\\ud800"', "9007199254740992", "1e300", "[" * 21 + "]" * 21]
)
async def test_unfit_json_is_answered_and_the_connection_stays(
    app: EchoApp, http: aiohttp.ClientSession, payload: str
) -> None:
    ws, client = await entered(app, http)
    await ws.send(f'421["message",{payload}]', '422["message",1]')
    assert [await ws.next(), await ws.next()] == ["431[]", "432[1]"]
    assert client.heard[0] == ("", [])


async def test_binary_packets_are_refused_unless_asked_for(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(binary=False)
    ws, client = await entered(app, http)
    await ws.send('452-7["message",{"_placeholder":true,"num":0}]', b"a", b"b", '428["x",1]')
    assert [await ws.next(), await ws.next()] == ["437[]", "438[1]"]
    assert client.heard == [("", []), ("x", [1])]
    await ws.send(b"no packet announced this")
    assert await ws.closed() == 1002


async def test_attachments_of_somebody_outside_are_not_kept(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    ws = await RawWebSocket.open(http, app.url)
    await ws.send('451-["message",{"_placeholder":true,"num":0}]')
    assert await ws.closed() == 1002


async def test_leaving_one_namespace_leaves_the_other(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await entered(app, http)
    await ws.connect("/custom")
    assert await ws.next() == '42/custom,["auth",{}]'
    await ws.send("41/custom,")
    await ws.send('42["message","still here"]')
    assert await ws.next() == '42["message-back","still here"]'
    assert (await app.custom.client()).farewells == [farewell.LEFT]
    assert client.farewells == []


@pytest.mark.parametrize("reason", [farewell.REMOVED, farewell.UNSIGNED])
async def test_who_may_not_come_back_gets_a_disconnect_packet(
    app: EchoApp, http: aiohttp.ClientSession, reason: Farewell
) -> None:
    ws, client = await entered(app, http)
    client.place.close(reason)
    client.place.close(farewell.FAULT)
    assert await ws.next() == "41"
    assert await ws.closed() == reason.code
    assert client.farewells == [reason]
    await gone(app)


@pytest.mark.parametrize("reason", [farewell.SHUTDOWN, farewell.FAULT, farewell.UNAVAILABLE, farewell.SLOW])
async def test_who_may_come_back_loses_only_the_transport(
    app: EchoApp, http: aiohttp.ClientSession, reason: Farewell
) -> None:
    ws, client = await entered(app, http)
    client.place.close(reason)
    assert await ws.next() is None
    assert ws.ws.close_code == reason.code
    assert client.farewells == [reason]
    await gone(app)


async def test_a_polling_client_between_polls_still_hears_that_it_is_removed(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    polling = await RawPolling.open(http, app.url)
    await polling.post("40")
    await polling.until('42["auth"')
    (await app.main.client()).place.close(farewell.REMOVED)
    assert await polling.poll() == ["41"], "beside a CLOSE, official clients would not heed it"
    assert (await polling.get())[0] == 400
    await gone(app)


async def test_a_lost_websocket_is_told_once(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await entered(app, http)
    await ws.ws.close()
    await gone(app)
    assert client.farewells == [farewell.LOST]


async def test_a_frame_over_the_limit_closes_with_1009(app: EchoApp, http: aiohttp.ClientSession) -> None:
    ws, client = await entered(app, http)
    await ws.send('42["message","' + "x" * 70_000 + '"]')
    assert await ws.closed() == 1009
    assert client.farewells == [farewell.TOO_LARGE]


async def test_a_client_that_never_reads_is_cut_off_within_a_second(app: EchoApp) -> None:
    async with silent_websocket(app) as silent:
        client = await app.main.client()
        while not client.farewells:
            client.emit("flood", "x" * 100_000)
            await asyncio.sleep(0)
        assert client.farewells == [farewell.SLOW]
        await gone(app)
        await eventually(lambda: not established(silent), seconds=1.0)


async def test_a_websocket_that_is_idle_has_no_task_and_no_request(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    before = asyncio.all_tasks()
    async with silent_websocket(app):
        client = await app.main.client()
        await eventually(lambda: asyncio.all_tasks() <= before)
        assert app.open_requests == 0
        assert client.farewells == []


async def test_who_closes_their_half_is_heard_to_the_end_and_gone(app: EchoApp) -> None:
    async with silent_websocket(app) as plain:
        client = await app.main.client()
        await asyncio.to_thread(read_until, plain, b'42["auth",{}]')
        client.gate.clear()
        plain.sendall(masked('42["slow",1]') + masked('42["last",2]'))
        plain.shutdown(network.SHUT_WR)
        await eventually(lambda: client.place.socket.busy)
        client.gate.set()
        await gone(app)
        assert client.heard == [("slow", [1]), ("last", [2])]
        assert client.farewells == [farewell.LOST]
        assert await asyncio.to_thread(plain.recv, 1) == b""


async def test_where_many_break_at_once_few_are_gone_in_one_turn(app: EchoApp) -> None:
    loop, here, most = asyncio.get_running_loop(), 0, 0

    def look() -> None:
        nonlocal here, most
        most, here = max(most, here - len(app.sockets)), len(app.sockets)
        if here:
            loop.call_soon(look)

    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(silent_websocket(app)) for _ in range(AT_ONCE * 3)]
        await eventually(lambda: len(app.main.clients) == len(crowd))
        look()
        for plain in crowd:
            plain.close()
        await gone(app)
    assert 0 < most <= AT_ONCE
    assert all(client.farewells == [farewell.LOST] for client in app.main.clients)


async def test_a_polling_client_that_never_polls_is_closed_at_its_bound(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    polling = await RawPolling.open(http, app.url)
    await polling.post("40")
    client = await app.main.client()
    await polling.until('42["auth"')
    for number in range(256):
        client.emit("flood", number)
    assert client.farewells == []
    client.emit("flood", "one more")
    assert client.farewells == [farewell.SLOW]
    await gone(app)


async def test_a_slow_reader_gets_everything_in_order(app: EchoApp) -> None:
    async with silent_websocket(app) as slow:
        client = await app.main.client()
        pieces = [json.dumps(["flood", number, "x" * 60_000]) for number in range(100)]
        for piece in pieces:
            client.place.write_history(f"42{piece}")
        assert client.farewells == []
        waiting = asyncio.create_task(client.place.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        received = await asyncio.to_thread(read_until, slow, b'"flood", 99,')
        await asyncio.wait_for(waiting, 5)
        positions = [received.find(f'"flood", {number},'.encode()) for number in range(100)]
        assert positions == sorted(positions)
        assert -1 not in positions
        client.emit("live")
        assert b'42["live"]' in await asyncio.to_thread(read_until, slow, b'42["live"]')


@asynccontextmanager
async def silent_websocket(app: EchoApp) -> AsyncIterator[network.socket]:
    """A WebSocket client in /, made of a plain socket, that reads nothing by itself."""
    port = int(app.url.rpartition(":")[2])
    with network.socket() as plain:
        await say_hello(plain, port)
        await app.main.client()
        yield plain


async def say_hello(plain: network.socket, port: int) -> None:
    plain.setsockopt(network.SOL_SOCKET, network.SO_RCVBUF, 4096)
    await asyncio.to_thread(plain.connect, ("127.0.0.1", port))
    plain.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        b"\r\n\r\n\x81\x82\0\0\0\0" + b"40"
    )


def masked(text: str) -> bytes:
    return RawClient.frame(TEXT, text.encode())


def read_until(plain: network.socket, wanted: bytes) -> bytes:
    plain.settimeout(5)
    received = b""
    while wanted not in received:
        received += plain.recv(1 << 20)
    return received


async def test_an_app_that_stops_waits_for_nobody(http: aiohttp.ClientSession) -> None:
    app = EchoApp()
    async with app.running():
        ws, client = await entered(app, http)
        polling = await RawPolling.open(http, app.url)
        waiting = asyncio.create_task(polling.get())
        await eventually(lambda: app.sockets[polling.sid].polling)
        reading = asyncio.create_task(ws.closed())
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.0
    assert await reading == farewell.SHUTDOWN.code
    assert await waiting == (200, "1")
    assert client.farewells == [farewell.SHUTDOWN]
