"""What the test suites of the two protocol documents ask of a server, against the echo app.

The cases are those of the suites beside Engine.IO v4 and Socket.IO v5 as published, in our words: an app with
the namespaces / and /custom, binary packets, pings every 300 ms that wait 200 ms, and 1 s to enter one. First
by a client in Node against the app in a process of its own, then by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients import NodeScript
from tests.servers import ROOT, Server
from tests.transports.socketio.conftest import StartEcho
from tests.transports.socketio.echo import SUITE_LIMITS, EchoApp
from tests.transports.socketio.raw import SECONDS, RawPolling, RawWebSocket

ENGINE = "/engine.io/"
SILENCE_SECONDS = 0.6
"""Longer than a ping and the wait for its answer."""


@pytest.fixture
async def strict(start: StartEcho) -> EchoApp:
    """The app that the suites are run against."""
    return await start(limits=SUITE_LIMITS)


@pytest.fixture
async def suite(start: StartEcho) -> EchoApp:
    """The same, for a machine that has other things to do: only the answers to its pings may be late."""
    return await start(limits=replace(SUITE_LIMITS, pong_seconds=SECONDS))


async def by_polling(http: aiohttp.ClientSession, suite: EchoApp) -> RawPolling:
    return await RawPolling.open(http, suite.url, ENGINE)


async def by_websocket(http: aiohttp.ClientSession, suite: EchoApp) -> RawWebSocket:
    return await RawWebSocket.open(http, suite.url, ENGINE)


async def raw_next(client: RawWebSocket) -> Any:
    """The next message, pings included; None when the connection is closed."""
    message = await client.ws.receive(timeout=SECONDS)
    return message.data if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY) else None


async def next_packet(client: RawPolling) -> list[str]:
    """What the next polls bring that is no ping."""
    while True:
        packets = [packet for packet in await client.poll() if packet not in ("2", "6")]
        if packets:
            return packets


# --- all, by a careless client in Node -----------------------------------------------------------------


class EchoProcess(Server):
    """The echo app as a program."""

    name = "echo"

    def __init__(self, folder: Path, pong_seconds: float) -> None:
        super().__init__(folder)
        self._pong_seconds = pong_seconds

    def command(self) -> Sequence[str]:
        module = "tests.transports.socketio.echo"
        return [sys.executable, "-m", module, str(self.port), str(self._pong_seconds)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.mark.parametrize(("cases", "pong_seconds"), [("timed", 0.2), ("other", SECONDS)])
async def test_a_client_that_listens_for_one_thing_at_a_time_misses_nothing(
    tmp_path: Path, node: str, cases: str, pong_seconds: float
) -> None:
    del node  # skips where it is missing
    with EchoProcess(tmp_path, pong_seconds) as echo:
        script = await NodeScript.start("protocols.js", f"http://127.0.0.1:{echo.port}", cases)
        seen = [case async for case in script.lines()]
        assert await script.close() == 0
    assert len(seen) >= {"timed": 12, "other": 45}[cases]
    assert [case for case in seen if case["error"]] == []


# --- Engine.IO: handshake ------------------------------------------------------------------------------


async def test_a_session_opens_by_polling_and_by_websocket(
    strict: EchoApp, http: aiohttp.ClientSession
) -> None:
    by_poll, by_ws = await by_polling(http, strict), await by_websocket(http, strict)
    for hello, upgrades in ((by_poll.hello, ["websocket"]), (by_ws.hello, [])):
        assert isinstance(hello.pop("sid"), str)
        assert hello == {
            "upgrades": upgrades,
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        }


@pytest.mark.parametrize(
    "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"]
)
async def test_a_wrong_handshake_opens_no_websocket(
    suite: EchoApp, http: aiohttp.ClientSession, query: str
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"{suite.url}{ENGINE}?{query}")
    assert refused.value.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_only_a_get_opens_a_session(suite: EchoApp, http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, f"{suite.url}{ENGINE}?EIO=4&transport=polling") as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == 2


# --- Engine.IO: messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (["4hello"], ["4hello"]),
        (["4test1", "4test2", "4test3"], ["4test1", "4test2", "4test3"]),
        (["4hello", "bAQIDBA=="], ["4hello", "bAQIDBA=="]),
    ],
)
async def test_payloads_are_said_back_by_polling(
    suite: EchoApp, http: aiohttp.ClientSession, sent: list[str], expected: list[str]
) -> None:
    client = await by_polling(http, suite)
    assert await client.post(*sent) == (200, "ok")
    assert await next_packet(client) == expected


async def test_text_and_bytes_are_said_back_by_websocket(suite: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await by_websocket(http, suite)
    await client.send("4hello", b"\x01\x02\x03\x04")
    assert [await client.next(), await client.next()] == ["4hello", b"\x01\x02\x03\x04"]


async def test_a_packet_of_no_known_form_ends_the_session(
    suite: EchoApp, http: aiohttp.ClientSession
) -> None:
    polling, websocket = await by_polling(http, suite), await by_websocket(http, suite)
    assert (await polling.post("abc"))[0] == 400
    assert (await polling.get())[0] == 400
    await websocket.send("abc")
    await websocket.closed()


async def test_a_second_poll_beside_one_that_waits_ends_the_session(
    suite: EchoApp, http: aiohttp.ClientSession
) -> None:
    client = await by_polling(http, suite)
    first = asyncio.create_task(client.get())
    await asyncio.sleep(0.05)
    assert (await client.get())[0] == 400
    assert await first == (200, "1")
    assert (await client.get())[0] == 400


# --- Engine.IO: pings, closing, upgrades ---------------------------------------------------------------


async def test_a_session_lives_while_pings_are_answered(suite: EchoApp, http: aiohttp.ClientSession) -> None:
    polling, websocket = await by_polling(http, suite), await by_websocket(http, suite)
    for _ in range(3):
        assert await polling.poll() == ["2"]
        assert await polling.post("3") == (200, "ok")
        assert await raw_next(websocket) == "2"
        await websocket.send("3")


async def test_a_session_ends_when_no_ping_is_answered(strict: EchoApp, http: aiohttp.ClientSession) -> None:
    polling, websocket = await by_polling(http, strict), await by_websocket(http, strict)
    await asyncio.sleep(SILENCE_SECONDS)
    assert (await polling.get())[0] == 400
    assert await raw_next(websocket) == "2"
    assert await raw_next(websocket) is None


async def test_a_client_may_close_its_session(suite: EchoApp, http: aiohttp.ClientSession) -> None:
    polling, websocket = await by_polling(http, suite), await by_websocket(http, suite)
    waiting = asyncio.create_task(polling.get())
    await asyncio.sleep(0.05)
    await polling.post("1")
    assert await waiting == (200, "6")
    assert (await polling.get())[0] == 400
    assert (await polling.post("4hello"))[0] == 400
    await websocket.send("1")
    await websocket.closed()


async def test_a_polling_session_goes_over_to_a_websocket(
    suite: EchoApp, http: aiohttp.ClientSession
) -> None:
    polling = await by_polling(http, suite)
    websocket = await RawWebSocket.open(http, suite.url, ENGINE, polling.sid)
    await websocket.send("2probe")
    assert await raw_next(websocket) == "3probe"
    assert await polling.get() == (200, "6")  # which ends long polling cleanly
    await websocket.send("5", "4hello")
    assert await websocket.next() == "4hello"
    assert (await polling.get())[0] == 400
    assert (await polling.post("4hello"))[0] == 400
    second = await RawWebSocket.open(http, suite.url, ENGINE, polling.sid)
    await second.closed()  # the session stays with the first one
    await websocket.send("4still here")
    assert await websocket.next() == "4still here"


# --- Socket.IO -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", ["/", "/custom"])
@pytest.mark.parametrize("auth", [None, {"token": "123"}])
async def test_a_namespace_is_entered_with_and_without_a_payload(
    suite: EchoApp, http: aiohttp.ClientSession, namespace: str, auth: Any
) -> None:
    client = await RawWebSocket.open(http, suite.url)
    answer = await client.connect(namespace, auth)
    named = "" if namespace == "/" else f"{namespace},"
    assert answer.startswith(f"40{named}{{")
    told = json.loads(answer.removeprefix(f"40{named}"))
    assert set(told) == {"sid"}
    assert told["sid"] != client.hello["sid"]
    expected = json.dumps(["auth", auth or {}], separators=(",", ":"))
    assert await client.next() == f"42{named}{expected}"


@pytest.mark.parametrize("auth", [None, {"token": "123"}])
async def test_a_namespace_that_there_is_not_is_refused(
    suite: EchoApp, http: aiohttp.ClientSession, auth: Any
) -> None:
    client = await RawWebSocket.open(http, suite.url)
    assert await client.connect("/random", auth) == '44/random,{"message":"Invalid namespace"}'
    assert (await client.connect("/custom")).startswith('40/custom,{"sid":')


async def test_who_enters_nothing_in_time_is_closed(suite: EchoApp, http: aiohttp.ClientSession) -> None:
    client = await RawWebSocket.open(http, suite.url)
    await client.closed()


async def entered(http: aiohttp.ClientSession, suite: EchoApp, *namespaces: str) -> RawWebSocket:
    """A client in these namespaces, who has heard all that is told there at first."""
    client = await RawWebSocket.open(http, suite.url)
    for namespace in namespaces:
        await client.connect(namespace)
        assert "auth" in await client.next()
    return client


async def test_leaving_a_namespace_leaves_the_connection_and_the_other_one(
    suite: EchoApp, http: aiohttp.ClientSession
) -> None:
    one = await entered(http, suite, "/")
    await one.send("41")
    assert await raw_next(one) == "2"
    both = await entered(http, suite, "/", "/custom")
    await both.send("41/custom,", '42["message","message to main namespace"]')
    assert await both.next() == '42["message-back","message to main namespace"]'


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']),
        (['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']),
        (
            [
                '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            [
                '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
        ),
        (
            [
                '452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
            [
                '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
                b"\x01\x02\x03",
                b"\x04\x05\x06",
            ],
        ),
    ],
)
async def test_events_are_said_back_and_acked_in_text_and_bytes(
    suite: EchoApp, http: aiohttp.ClientSession, sent: list[str | bytes], expected: list[str | bytes]
) -> None:
    client = await entered(http, suite, "/")
    await client.send(*sent)
    assert [await client.next() for _ in expected] == expected


@pytest.mark.parametrize(
    "packet",
    [
        "4abc",
        "49",
        "42{}",
        '42"message"',
        "42[]",
        '42abc["message-with-ack",1]',
        "451-",
        '43["no id"]',
        "40[]",
    ],
)
@pytest.mark.parametrize("inside", [False, True])
async def test_a_packet_of_the_wrong_form_closes_the_connection(
    suite: EchoApp, http: aiohttp.ClientSession, packet: str, inside: bool
) -> None:
    client = await entered(http, suite, *(["/"] if inside else []))
    await client.send(packet)
    await client.closed()
