"""Signs of life of a plain WebSocket, and questions that its client confirms."""

from __future__ import annotations

import asyncio
import json

from messaging.gateway import farewell
from messaging.transports.handshake import Limits
from tests.transports.connections import Start, gone, joined
from tests.transports.rfc6455 import PING, PONG, TEXT, eventually


async def test_a_client_is_pinged_and_stays_while_it_answers(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.05, pong_seconds=0.2))
    for _ in range(4):
        client.send(PONG, (await client.until(PING)).payload)
    assert server.one[1].farewells == []


async def test_any_frame_is_a_sign_of_life(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.05, pong_seconds=0.2))
    for _ in range(4):
        await client.until(PING)
        client.say(type="busy")
    assert server.one[1].farewells == []


async def test_a_client_that_answers_no_ping_is_noticed(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.1, pong_seconds=0.1))
    began = asyncio.get_running_loop().time()
    assert await client.ended() is None
    assert asyncio.get_running_loop().time() - began < 1.0
    await gone(server, farewell.SILENT)


async def test_a_client_whose_command_takes_long_is_not_silent(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.05, pong_seconds=0.05))
    _, sink = server.one
    sink.gate.clear()
    client.say(type="slow")
    await client.until(PING)
    await asyncio.sleep(0.3)
    assert sink.farewells == []
    sink.gate.set()
    client.send(PONG, b"0")
    await client.until(PING)
    assert sink.farewells == []


async def test_a_slow_reader_is_not_silent_but_one_that_reads_nothing_is(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.5, pong_seconds=1.0), slow=True)
    connection, sink = server.one
    for _ in range(400):
        connection.write_history(json.dumps("x" * 50_000))
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 2.5:
        await client.heard()
        await asyncio.sleep(0.01)
    assert sink.farewells == []
    await gone(server, farewell.SILENT)


async def test_a_probe_is_confirmed_once_behind_what_was_written_before(start: Start) -> None:
    server, client = await start(join=joined)
    connection, sink = server.one
    connection.write("1")
    connection.probe(7)
    connection.write("2")
    assert await client.next() == (TEXT, b"1", False)
    ping = await client.next()
    assert ping == (PING, b"7", False)
    assert await client.next() == (TEXT, b"2", False)
    assert sink.tokens == []
    for payload in (b"8", b"", b"x", b"9" * 100, b"7", b"7", b"6"):
        client.send(PONG, payload)
    client.say(type="end")
    await eventually(lambda: sink.frames)
    assert sink.tokens == [7]


async def test_a_probe_of_a_slow_client_waits_behind_its_history(start: Start) -> None:
    server, client = await start(slow=True)
    connection, sink = server.one
    for _ in range(200):
        connection.write_history(json.dumps("x" * 50_000))
    connection.probe(1)
    client.send(PONG, b"1")
    client.say(type="too early")
    for _ in range(200):
        frame = await client.next()
        assert frame is not None
        assert frame.opcode == TEXT
    assert await client.next() == (PING, b"1", False)
    client.send(PONG, b"1")
    await eventually(lambda: sink.tokens)
    assert sink.tokens == [1]


async def test_the_answer_to_a_later_ping_confirms_an_earlier_probe(start: Start) -> None:
    server, client = await start(Limits(ping_seconds=0.05, pong_seconds=1.0))
    connection, sink = server.one
    connection.probe(3)
    await client.until(PING)
    client.send(PONG, (await client.until(PING)).payload)
    await eventually(lambda: sink.tokens)
    assert sink.tokens == [3]
