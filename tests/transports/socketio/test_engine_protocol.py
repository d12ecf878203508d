"""Engine.IO v4 as its document says, over raw HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from messaging.gateway import farewell
from messaging.transports.handshake import Limits
from messaging.transports.origins import Origins
from tests.http import http_client
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import SUITE_LIMITS, EchoApp
from tests.transports.socketio.raw import RawPolling, RawWebSocket, eventually

ENGINE = "/engine.io/"


@pytest.mark.parametrize(
    ("method", "query", "code", "message"),
    [
        ("GET", "EIO=4", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=abc", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=polling&sid=nobody", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling&sid=nobody", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("PUT", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("GET", "EIO=4&transport=websocket", 3, "Bad request"),
        ("GET", "EIO=3&transport=polling", 5, "Unsupported protocol version"),
        ("GET", "transport=polling", 5, "Unsupported protocol version"),
    ],
)
async def test_a_wrong_request_is_refused_with_its_code(
    app: EchoApp, http: aiohttp.ClientSession, method: str, query: str, code: int, message: str
) -> None:
    async with http.request(method, f"{app.url}{ENGINE}?{query}") as answer:
        assert answer.status == 400
        assert await answer.json() == {"code": code, "message": message}


async def test_the_handshake_announces_ping_times_below_a_second(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=SUITE_LIMITS)
    client = await RawPolling.open(http, app.url, ENGINE)
    del client.hello["sid"]
    assert client.hello == {
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


async def test_polling_says_back_many_packets_text_and_binary(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    sent = ["4hello", "bAQIDBA==", *(f"4{number}" for number in range(50))]
    assert await client.post(*sent) == (200, "ok")
    assert await client.poll() == sent


async def test_python_clients_get_no_more_packets_a_poll_than_they_take(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    async with http_client() as python:
        client = await RawPolling.open(python, app.url, ENGINE)
        sent = [f"4{number}" for number in range(40)]
        await client.post(*sent)
        polls = [await client.poll() for _ in range(3)]
    assert [len(poll) for poll in polls] == [16, 16, 8]
    assert [packet for poll in polls for packet in poll] == sent


async def test_a_body_that_comes_in_pieces_is_read_whole(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"4he", b"llo \xc3", b"\xa9\x1e4", b"two"):
            yield piece
            await asyncio.sleep(0.01)  # separate chunks on the wire

    assert await client.post_body(pieces()) == (200, "ok")
    assert await client.poll() == ["4hello é", "4two"]


async def test_a_packet_over_the_limit_is_refused_with_413(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    status, _ = await client.post("4" + "x" * 70_000)
    assert status == 413
    assert (await client.get())[0] == 400


async def test_a_body_over_the_limit_is_refused_with_413_however_it_comes(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=Limits(max_body_bytes=100_000))
    client = await RawPolling.open(http, app.url, ENGINE)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"4" + b"x" * 9_999 + b"\x1e"

    assert (await client.post_body(pieces()))[0] == 413


@pytest.mark.parametrize("body", ["abc", "", "7", "0", "2", "5", "b&&&&", "4ok\x1e"])
async def test_a_packet_that_cannot_be_read_ends_the_session_at_once(
    app: EchoApp, http: aiohttp.ClientSession, body: str
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    assert (await client.post(body))[0] == 400
    assert client.sid not in app.engine.sockets
    assert (await client.get())[0] == 400


@pytest.mark.parametrize("packet", ["abc", "0", "2", "5", "bAQID"])
async def test_a_packet_that_cannot_be_read_closes_the_websocket_at_once(
    app: EchoApp, http: aiohttp.ClientSession, packet: str
) -> None:
    client = await RawWebSocket.open(http, app.url, ENGINE)
    await client.send(packet)
    assert await client.closed() == 1002
    assert app.engine.sockets == {}


async def test_two_polls_at_once_end_the_session(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    first = asyncio.create_task(client.get())
    await until_polling(app, client)
    assert (await client.get())[0] == 400
    assert await first == (200, "1")


async def test_pings_are_answered_or_the_session_ends(start: StartEcho, http: aiohttp.ClientSession) -> None:
    app = await start(limits=SUITE_LIMITS)
    client = await RawPolling.open(http, app.url, ENGINE)
    for _ in range(3):
        assert await client.poll() == ["2"]
        assert await client.post("3") == (200, "ok")
    assert await client.poll() == ["2"]
    assert (await client.get()) == (200, "1")
    assert (await client.get())[0] == 400
    assert app.engine.sockets == {}


async def test_a_silent_websocket_is_closed(start: StartEcho, http: aiohttp.ClientSession) -> None:
    app = await start(limits=SUITE_LIMITS)
    client = await RawWebSocket.open(http, app.url, ENGINE)
    assert (await client.ws.receive(timeout=5)).data == "2"
    assert (await client.ws.receive(timeout=5)).type is not aiohttp.WSMsgType.TEXT
    assert app.engine.sockets == {}


async def test_a_client_may_close_while_it_polls(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    waiting = asyncio.create_task(client.get())
    await until_polling(app, client)
    assert await client.post("1") == (200, "ok")
    assert await waiting == (200, "6")
    assert (await client.get())[0] == 400


async def test_an_upgrade_keeps_every_packet_in_order(app: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    socket = app.engine.sockets[client.sid]
    waiting = asyncio.create_task(client.get())
    await until_polling(app, client)
    ws = await RawWebSocket.open(http, app.url, ENGINE, sid=client.sid)
    await ws.send("2probe")
    assert await ws.next() == "3probe"
    assert await waiting == (200, "6")
    for number in range(20):
        socket.write(f"4{number}")
    await ws.send("5", "4after")
    assert [await ws.next() for _ in range(21)] == [*(f"4{number}" for number in range(20)), "4after"]


async def test_packets_of_an_abandoned_upgrade_come_by_polling(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    ws = await RawWebSocket.open(http, app.url, ENGINE, sid=client.sid)
    await ws.send("2probe")
    assert await ws.next() == "3probe"
    app.engine.sockets[client.sid].write("4kept")
    await ws.ws.close()
    assert await client.until("4kept") == ["4kept"]


async def test_requests_for_an_upgraded_session_do_it_no_harm(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    ws = await RawWebSocket.open(http, app.url, ENGINE, sid=client.sid)
    await ws.send("2probe", "5")
    assert await ws.next() == "3probe"
    await ws.send("4over")
    assert await ws.next() == "4over"
    assert (await client.get())[0] == 400
    assert (await client.post("4late"))[0] == 400
    second = await RawWebSocket.open(http, app.url, ENGINE, sid=client.sid)
    assert await second.closed() == 1000
    await ws.send("4still here")
    assert await ws.next() == "4still here"


async def test_packets_for_an_aborted_poll_come_with_the_next(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    waiting = asyncio.create_task(client.get())
    await until_polling(app, client)
    socket = app.engine.sockets[client.sid]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await eventually(lambda: not socket.polling)
    socket.write("4one")
    socket.write("4two")
    assert await client.poll() == ["4one", "4two"]


async def test_a_poll_that_is_given_up_ends_the_session_where_polls_are_not_kept(
    start: StartEcho, http: aiohttp.ClientSession
) -> None:
    app = await start(limits=Limits())
    again, told = await RawPolling.open(http, app.url, ENGINE), await RawPolling.open(http, app.url, ENGINE)
    for client in (again, told):
        waiting = asyncio.create_task(client.get())
        await until_polling(app, client)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        socket = app.engine.sockets[client.sid]
        await eventually(lambda: not socket.polling)  # noqa: B023  it is called within this turn
    assert (await again.get())[0] == 400  # whoever asks again,
    app.engine.sockets[told.sid].write("4lost")  # or there is something to be told
    await eventually(lambda: app.engine.sockets == {})
    assert (await told.get())[0] == 400


async def test_a_poll_that_an_upgrade_overtakes_is_refused(
    app: EchoApp, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.transports.socketio.socket.UPGRADE_POLL_SECONDS", 5.0)
    client = await RawPolling.open(http, app.url, ENGINE)
    ws = await RawWebSocket.open(http, app.url, ENGINE, sid=client.sid)
    await ws.send("2probe")
    assert await ws.next() == "3probe"
    overtaken = asyncio.create_task(client.get())
    await until_polling(app, client)
    await ws.send("5", "4over")
    assert await ws.next() == "4over"
    assert (await overtaken)[0] == 400


async def test_nobody_is_let_in_while_the_server_drains(app: EchoApp, http: aiohttp.ClientSession) -> None:
    here = await RawWebSocket.open(http, app.url, ENGINE)
    await app.engine.drain()
    assert await here.closed() == farewell.SHUTDOWN.code
    async with http.get(app.url + ENGINE, params={"EIO": "4", "transport": "polling"}) as answer:
        assert answer.status == 503


async def test_a_foreign_page_is_refused_with_403(app: EchoApp, http: aiohttp.ClientSession) -> None:
    query = {"EIO": "4", "transport": "polling"}
    async with http.get(app.url + ENGINE, params=query, headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403
    async with http.get(app.url + ENGINE, params=query, headers={"Origin": app.url}) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == app.url
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"


async def test_a_preflight_is_answered(start: StartEcho, http: aiohttp.ClientSession) -> None:
    app = await start(origins=Origins(("https://app.example",)))
    async with http.options(app.url + "/socket.io/", headers={"Origin": "https://app.example"}) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


async def until_polling(app: EchoApp, client: RawPolling) -> None:
    """Wait until the client's GET has arrived at the server."""
    await eventually(lambda: bool(app.engine.sockets[client.sid].polling))


async def test_what_waits_comes_before_the_goodbye_and_never_beside_it(
    app: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await RawPolling.open(http, app.url, ENGINE)
    socket = app.engine.sockets[client.sid]
    socket.write("4one")
    socket.write("4two")
    socket.end(farewell.SHUTDOWN)
    assert await client.poll() == ["4one", "4two"]
    assert await client.poll() == ["1"]
    assert (await client.get())[0] == 400
    assert app.engine.sockets == {}
