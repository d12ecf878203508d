"""One connection of a plain WebSocket: RFC 6455, and ends that leave nothing behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from messaging.dialects.base import Frame
from messaging.gateway import farewell
from messaging.gateway.farewell import Farewell
from messaging.transports.handshake import Limits
from tests.transports.connections import Start, gone
from tests.transports.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient, eventually

# --- what comes in ---


async def test_a_frame_is_a_json_object_with_a_type(start: Start) -> None:
    server, client = await start()
    client.say(type="hello", n=1)
    client.send(TEXT, b'{"type":7}')
    await eventually(lambda: len(server.one[1].frames) == 2)
    assert server.one[1].frames == [Frame("hello", {"type": "hello", "n": 1}), Frame("", {"type": 7})]


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [
        (TEXT, b"{"), (TEXT, b""), (TEXT, b"[]"), (TEXT, b"null"), (TEXT, b'"text"'), (TEXT, b'{"a":NaN}'),
        (TEXT, b'{"type":"x","a":' + b"[" * 30 + b"]" * 30 + b"}"), (TEXT, b'{"a":"\\ud800"}'),
        (BINARY, b"{}"), (BINARY, b""),
    ],
)  # fmt: skip
async def test_what_is_no_frame_is_told_and_ends_nothing(start: Start, opcode: int, payload: bytes) -> None:
    server, client = await start()
    client.send(opcode, payload)
    client.say(type="next")
    _, sink = server.one
    await eventually(lambda: sink.frames)
    assert len(sink.complaints) == 1
    assert sink.farewells == []


async def test_fragments_make_one_frame_with_pings_between_them(start: Start) -> None:
    server, client = await start()
    client.send(TEXT, b'{"type":', fin=False)
    client.send(PING, b"between")
    client.send(CONTINUATION, b'"whole', fin=False)
    client.send(CONTINUATION, b'"}')
    assert await client.next() == (PONG, b"between", False)
    await eventually(lambda: server.one[1].frames)
    assert server.one[1].frames == [Frame("whole", {"type": "whole"})]


@pytest.mark.parametrize(
    ("limit", "sizes"), [(65_536, (65_536, 65_536, 20, 20)), (1_000_000, (140_000, 20, 20))]
)
async def test_frames_are_handled_in_their_order_however_large_they_are(
    start: Start, limit: int, sizes: Sequence[int]
) -> None:
    server, client = await start(Limits(max_frame_bytes=limit))
    connection, sink = server.one
    sink.gate.clear()
    client.say(type="first")
    await eventually(lambda: connection._taking)  # noqa: SLF001
    frames = [client.frame(TEXT, b'{"type":"%d"}' % n + b" " * (size - 12)) for n, size in enumerate(sizes)]
    line = connection._line  # noqa: SLF001, so that all of it comes in one piece
    assert line is not None
    line.data_received(b"".join(frames))
    sink.gate.set()
    await eventually(lambda: len(sink.frames) == 1 + len(sizes))
    assert [frame.name for frame in sink.frames] == ["first", *(f"{n}" for n in range(len(sizes)))]


async def test_who_closes_their_half_while_they_do_not_read_is_gone_at_once(start: Start) -> None:
    server, client = await start(Limits(max_queued_bytes=10_000_000), slow=True)
    connection, _ = server.one
    line = connection._line  # noqa: SLF001
    assert line is not None
    while not line._writing_paused:  # noqa: SLF001
        connection.write("x" * 10_000)
        await asyncio.sleep(0)
    client.send(PING, b"are you there?")
    client.socket.shutdown(socket.SHUT_WR)
    await gone(server, farewell.LOST)


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff" * 62])
async def test_a_ping_is_answered_with_its_payload(start: Start, payload: bytes) -> None:
    _, client = await start()
    client.send(PING, payload)
    assert await client.next() == (PONG, payload, False)


async def test_the_largest_frame_is_taken(start: Start) -> None:
    server, client = await start(Limits(max_frame_bytes=1000))
    client.send(TEXT, b'{"type":"%s"}' % (b"x" * 989))
    await eventually(lambda: server.one[1].frames)
    assert len(server.one[1].frames[0].name) == 989


@pytest.mark.parametrize("size", [1001, 70_000, 10_000_000])
async def test_a_frame_over_the_limit_is_answered_with_1009(start: Start, size: int) -> None:
    server, client = await start(Limits(max_frame_bytes=1000))
    client.send(TEXT, b"x" * size)
    frame = await client.until(CLOSE)
    assert frame.code == 1009
    await gone(server, farewell.TOO_LARGE)


async def test_fragments_over_the_limit_are_answered_with_1009(start: Start) -> None:
    server, client = await start(Limits(max_frame_bytes=1000))
    client.send(TEXT, b"x" * 900, fin=False)
    client.send(CONTINUATION, b"x" * 900)
    assert await client.ended() == 1009
    await gone(server, farewell.TOO_LARGE)


async def test_bad_utf8_is_answered_with_1007(start: Start) -> None:
    server, client = await start()
    client.send(TEXT, b'{"type":"\xc3\x28"}')
    assert await client.ended() == 1007
    await gone(server, farewell.UNREADABLE)


@pytest.mark.parametrize(
    "data",
    [
        RawClient.frame(3, b""),
        RawClient.frame(11, b""),
        RawClient.frame(TEXT, b"{}", rsv=0x20),
        RawClient.frame(TEXT, b"{}", rsv=0x40),  # compressed, which was not agreed
        RawClient.frame(CONTINUATION, b"{}"),
        RawClient.frame(PING, b"x", fin=False),
        RawClient.frame(PING, b"x" * 126),
        RawClient.frame(CLOSE, b"\x03"),
        RawClient.frame(CLOSE, b"\x00\x01"),
    ],
)
async def test_what_rfc_6455_forbids_is_answered_with_1002(start: Start, data: bytes) -> None:
    server, client = await start()
    client.send_bytes(data)
    assert await client.ended() == 1002
    await gone(server, farewell.UNREADABLE)


async def test_a_client_is_not_read_while_what_it_said_is_handled(start: Start) -> None:
    server, client = await start()
    _, sink = server.one
    sink.gate.clear()
    client.say(type="slow")
    client.send(PING, b"later")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.next(), 0.1)
    sink.gate.set()
    assert await client.next() == (PONG, b"later", False)


# --- the end ---


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        (b"\x03\xe8", 1000, farewell.LEFT),
        (b"\x03\xe9going", 1001, farewell.LEFT),
        (b"", 1000, farewell.LEFT),  # a browser's close()
        (b"\x0f\xa0", 4000, farewell.LOST),
        (b"\x03\xf3", 1011, farewell.LOST),
    ],
)
async def test_a_goodbye_is_answered(start: Start, said: bytes, answer: int, reason: Farewell) -> None:
    server, client = await start()
    client.send(CLOSE, said)
    assert await client.ended() == answer
    await gone(server, reason)


async def test_a_connection_that_breaks_is_lost(start: Start) -> None:
    server, client = await start()
    client.break_off()
    await gone(server, farewell.LOST)


async def test_the_server_says_why_it_closes_after_all_that_was_written(start: Start) -> None:
    server, client = await start()
    connection, sink = server.one
    connection.write('{"last":true}')
    connection.close(farewell.SHUTDOWN)
    connection.close(farewell.FAULT)
    connection.write('{"late":true}')
    connection.probe(1)
    assert sink.farewells == [farewell.SHUTDOWN]
    assert await client.heard() == {"last": True}
    assert await client.next() == (CLOSE, b"\x03\xf4shutdown", False)
    client.say(type="late")
    client.send(CLOSE, b"\x03\xf4")
    assert await client.next() is None
    await gone(server, farewell.SHUTDOWN)
    assert sink.frames == []


async def test_a_client_that_does_not_answer_the_goodbye_is_cut_off(start: Start) -> None:
    server, client = await start()
    server.one[0].close(farewell.SHUTDOWN)
    assert (await client.until(CLOSE)).code == 1012
    await asyncio.wait_for(gone(server, farewell.SHUTDOWN), 1.0)
    assert await client.next() is None
