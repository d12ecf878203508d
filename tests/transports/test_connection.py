"""One connection of a plain WebSocket: RFC 6455, bounds, signs of life, and clean ends."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from messaging.dialects.base import Frame
from messaging.gateway import farewell
from messaging.gateway.farewell import Farewell
from messaging.transports import line
from messaging.transports.connection import Connection
from messaging.transports.handshake import Limits
from messaging.transports.line import Line
from tests.transports.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient, eventually

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


class Recorder:
    """A sink that writes down what comes, and handles it when its gate is open."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.complaints: list[str] = []
        self.tokens: list[int] = []
        self.farewells: list[Farewell] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def receive(self, frame: Frame) -> None:
        await self.gate.wait()
        self.frames.append(frame)

    def unreadable(self, why: str) -> None:
        self.complaints.append(why)

    def confirmed(self, token: int) -> None:
        self.tokens.append(token)

    def closed(self, farewell: Farewell) -> None:
        self.farewells.append(farewell)


class Server:
    """A server whose clients are connections without a gateway."""

    def __init__(self, limits: Limits, join: Callable[[Sequence[str]], str] | None) -> None:
        self.url = ""
        self.connections: list[Connection] = []
        self.sinks: list[Recorder] = []
        self.open = 0
        self._limits = limits
        self._join = join

    @property
    def one(self) -> tuple[Connection, Recorder]:
        return self.connections[0], self.sinks[0]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(self._limits, self._join)
        connection.sink = sink = Recorder()
        accepted = await Line.accept(
            request,
            max_frame_bytes=self._limits.max_frame_bytes,
            protocols=(),
            compress=True,
            pong=connection.pong,
        )
        connection.open(accepted)
        self.connections.append(connection)
        self.sinks.append(sink)
        self.open += 1
        try:
            await connection.read()
            return await accepted.finish()
        finally:
            self.open -= 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        try:
            yield
        finally:
            for connection in self.connections:
                connection.close(farewell.SHUTDOWN)
            await runner.cleanup()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goodbyes take no longer than they must."""
    assert line.LINGER_SECONDS < 1.0
    monkeypatch.setattr(line, "LINGER_SECONDS", 0.2)


Start = Callable[..., Awaitable[tuple[Server, RawClient]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(limits)` gives a server and a client of it, until the test ends."""
    async with AsyncExitStack() as stack:

        async def start_one(
            limits: Limits | None = None,
            join: Callable[[Sequence[str]], str] | None = None,
            headers: str = "",
            slow: bool = False,
        ) -> tuple[Server, RawClient]:
            server = Server(limits or Limits(), join)
            await stack.enter_async_context(server.running())
            client = await stack.enter_async_context(
                RawClient.connected(server.url, headers=headers, slow=slow)
            )
            await eventually(lambda: server.connections)
            return server, client

        yield start_one


async def gone(server: Server, reason: Farewell) -> None:
    """Wait until nothing is left of the connection, which ended once, for this reason."""
    await eventually(lambda: not server.open)
    assert server.one[1].farewells == [reason]
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith(("Connection.", "Server.handle"))}


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
    assert client.head


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


# --- several frames in one ---


def joined(texts: Sequence[str]) -> str:
    return "[" + ",".join(texts) + "]"


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


# --- signs of life ---


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
    server, client = await start(Limits(ping_seconds=0.3, pong_seconds=0.2), slow=True)
    connection, sink = server.one
    for _ in range(200):
        connection.write_history(json.dumps("x" * 50_000))
    began = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began + 1.0:
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
