"""What a plain WebSocket is told: in order, bounded, compressed, and joined where it asks for that."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest

from messaging.dialects.base import Frame
from messaging.gateway import farewell
from messaging.transports import line
from messaging.transports.connection import Connection
from messaging.transports.handshake import Limits
from tests.transports.connections import Recorder, Start, gone, joined
from tests.transports.rfc6455 import PING, PONG, TEXT, eventually

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


# --- what goes out ---


async def test_what_is_written_before_the_upgrade_waits_for_it(start: Start) -> None:
    waiting = Connection(Limits(max_queued_frames=2))
    waiting.sink = sink = Recorder()
    waiting.write("{}")
    waiting.write("{}")
    assert sink.farewells == []
    waiting.write("{}")
    assert sink.farewells == [farewell.SLOW]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(max_queued_bytes=100_000, max_queued_frames=10**9), "x" * 1000),
        (Limits(max_queued_frames=256), '{"a":1}'),
    ],
    ids=["bytes", "frames"],
)
async def test_a_client_that_never_reads_is_closed_as_too_slow_and_cut_within_a_second(
    start: Start, limits: Limits, text: str
) -> None:
    server, client = await start(limits, slow=True)
    connection, sink = server.one
    while not sink.farewells:
        for _ in range(100):
            connection.write(text)
        await asyncio.sleep(0)
    assert sink.farewells == [farewell.SLOW]
    await asyncio.wait_for(gone(server, farewell.SLOW), 1.0)
    # Also for the kernel, which would go on for minutes to offer what was not read.
    await eventually(lambda: not client.established, 1.0)


async def test_who_reads_again_soon_enough_comes_to_the_goodbye(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "LINGER_SECONDS", 5.0)  # this machine may have other things to do
    server, client = await start(Limits(max_queued_bytes=100_000, max_queued_frames=10**9), slow=True)
    connection, sink = server.one
    while not sink.farewells:
        for _ in range(100):
            connection.write("x" * 1000)
        await asyncio.sleep(0)
    for _ in range(100):
        assert (await client.until(TEXT)).payload
    await asyncio.sleep(line.STUCK_SECONDS + 0.1)
    assert await client.ended() == farewell.SLOW.code


async def test_history_does_not_count_and_comes_in_order_before_what_is_live(start: Start) -> None:
    server, client = await start(slow=True)
    connection, sink = server.one
    for number in range(200):
        connection.write_history(json.dumps({"n": number, "x": "x" * 50_000}))
    connection.write('{"n":200}')
    waiting = asyncio.create_task(connection.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert [(await client.heard())["n"] for _ in range(201)] == list(range(201))
    await asyncio.wait_for(waiting, 5)
    assert sink.farewells == []
    await asyncio.wait_for(connection.drained(), 1)


async def test_who_waits_for_a_client_to_read_hears_of_its_end(start: Start) -> None:
    server, client = await start(slow=True)
    connection, _ = server.one
    for _ in range(200):
        connection.write_history("x" * 50_000)
    waiting = asyncio.create_task(connection.drained())
    await asyncio.sleep(0)
    client.break_off()
    await asyncio.wait_for(waiting, 5)
    await gone(server, farewell.LOST)


async def test_a_client_that_takes_no_answers_is_not_asked_for_more(start: Start) -> None:
    server, client = await start(Limits(max_queued_frames=20), slow=True)
    connection, sink = server.one
    for _ in range(200):
        connection.write_history("x" * 50_000)
    for number in range(10):
        assert not connection.crowded
        connection.write(f'{{"n":{number}}}')
    assert connection.crowded
    for _ in range(50):
        client.say(type="more")
    client.send(PING, b"end")
    await asyncio.sleep(0.1)
    assert sink.frames == []
    assert (await client.until(PONG)).payload == b"end"
    assert len(sink.frames) == 50
    assert sink.farewells == []


async def test_pings_are_answered_only_as_fast_as_the_answers_are_read(start: Start) -> None:
    server, client = await start(slow=True)
    connection, _ = server.one
    for _ in range(200):
        connection.write_history("x" * 50_000)
    await asyncio.sleep(0)
    for number in range(1000):
        client.send(PING, b"%d" % number)
    pongs = [(await client.until(PONG)).payload for _ in range(1000)]
    assert pongs == [b"%d" % number for number in range(1000)]


# --- compression ---


async def test_nothing_is_compressed_unless_the_client_offers_it(start: Start) -> None:
    server, client = await start()
    assert "permessage-deflate" not in client.head
    server.one[0].write(json.dumps({"text": "x" * 1000}))
    frame = await client.until(TEXT)
    assert not frame.compressed


@pytest.mark.parametrize("context", [True, False])
async def test_long_frames_are_compressed_where_it_was_offered(start: Start, context: bool) -> None:
    offer = DEFLATE if context else DEFLATE.replace("client_max", "server_no_context_takeover; client_max")
    server, client = await start(headers=offer)
    assert "permessage-deflate" in client.head
    assert ("server_no_context_takeover" in client.head) is not context
    texts = [json.dumps({"n": number, "text": "x" * number}) for number in (1, 1000, 40_000, 1, 2000)]
    for text in texts:
        server.one[0].write(text)
    inflate = zlib.decompressobj(-15)
    for text in texts:
        frame = await client.until(TEXT)
        assert frame.compressed == (len(text) > 128)
        if not context:
            inflate = zlib.decompressobj(-15)
        payload = frame.payload
        assert (
            inflate.decompress(payload + b"\0\0\xff\xff") if frame.compressed else payload
        ) == text.encode()


async def test_compressed_frames_are_understood_and_bombs_are_not(start: Start) -> None:
    server, client = await start(Limits(max_frame_bytes=1000), headers=DEFLATE)
    compressor = zlib.compressobj(wbits=-15)

    def deflated(data: bytes) -> bytes:
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")

    client.send(TEXT, deflated(b'{"type":"small"}'), rsv=0x40)
    await eventually(lambda: server.one[1].frames)
    assert server.one[1].frames == [Frame("small", {"type": "small"})]
    client.send(TEXT, deflated(b" " * 10_000_000)[:900], rsv=0x40)
    assert await client.ended() == 1009
    await gone(server, farewell.TOO_LARGE)


async def test_what_cannot_be_inflated_ends_with_a_goodbye(start: Start) -> None:
    server, client = await start(headers=DEFLATE)
    client.send(TEXT, b"\xff\xff\xff\0garbage", rsv=0x40)
    assert await client.ended() == 1007
    await gone(server, farewell.UNREADABLE)


# --- several frames in one ---


async def test_frames_of_one_turn_are_joined_in_order(start: Start) -> None:
    server, client = await start(join=joined)
    connection, _ = server.one
    for number in range(3):
        connection.write(f"{number}")
    connection.write_history("3")
    assert await client.heard() == [0, 1, 2, 3]
    connection.write("4")
    assert await client.heard() == 4
    connection.write("5")
    connection.write("6")
    connection.close(farewell.SHUTDOWN)
    assert await client.heard() == [5, 6]
    await gone(server, farewell.SHUTDOWN)


async def test_what_is_joined_stays_small(start: Start) -> None:
    server, client = await start(join=joined)
    connection, _ = server.one
    for number in range(250):
        connection.write(f"{number}")
    assert [len(await client.heard()) for _ in range(3)] == [100, 100, 50]
    for _ in range(4):
        connection.write(json.dumps("x" * 30_000))
    assert [len(await client.heard()) for _ in range(2)] == [2, 2]
