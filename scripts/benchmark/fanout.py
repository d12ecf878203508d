"""One sender, many watchers: deliveries a second, and what each costs the server.

The server runs on one core, the load on another. Sends are durable and acked; `window` is how many of them
are in flight together. The CPU time per delivery is the steady figure; the rate depends on the neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from messaging.tokens import mint
from tests.servers import MongoServer, ServerProcess

SECRET = secrets.token_urlsafe(32)
LIMITS = {"RATE_LIMIT_MESSAGES": "1000000/second", "MAX_CONNECTIONS_PER_ADDRESS": "100000"}
ROOM = "general"


class Client(asyncio.Protocol):
    """A Socket.IO client that is cheap enough to have a thousand of: it counts events instead of parsing."""

    def __init__(self) -> None:
        self.events = self.acks = 0
        self.joined = asyncio.get_running_loop().create_future()
        self.wake = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b'["new-message"')
        if b"43/messaging," in data:
            self.acks += data.count(b"43/messaging,")
            self.wake.set()
        if b'"lastSeq"' in data and not self.joined.done():
            self.joined.set_result(None)

    def say(self, text: str) -> None:
        """Write one WebSocket text frame, masked with zeros (RFC 6455, 5.2)."""
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big")
        self.transport.write(b"\x81" + size + bytes(4) + data)

    async def enter(self, token: str) -> None:
        """Upgrade, sign in, join."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.transport.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + key.encode()
            + b"\r\n\r\n"
        )
        self.say("40/messaging," + json.dumps({"token": token}))
        await asyncio.sleep(0.05)  # nothing is handled before sign-in has succeeded
        self.say(f'42/messaging,0["join-conversation",{{"conversationId":"{ROOM}","limit":1}}]')
        await asyncio.wait_for(self.joined, 30)

    async def send(self, messages: int, window: int) -> None:
        """Send so many messages, `window` of them in flight."""
        self.acks = 0
        for number in range(messages):
            while number - self.acks >= window:
                self.wake.clear()
                await self.wake.wait()
            self.say(
                f'42/messaging,{number}["send-message",{{"conversationId":"{ROOM}","content":"{number:032}"}}]'
            )
        while self.acks < messages:
            self.wake.clear()
            await self.wake.wait()


async def connect(port: int, user: str) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Client, "127.0.0.1", port)
    await client.enter(mint(SECRET, user, now=datetime.now(UTC), ttl=timedelta(hours=1)))
    return client


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(
    server: ServerProcess, clients: list[Client], window: int, messages: int
) -> tuple[float, float, float]:
    """Deliveries a second, sends a second, and CPU microseconds of the server per delivery."""
    before = sum(client.events for client in clients)
    cpu, start = cpu_seconds(server.pid), time.perf_counter()
    await clients[0].send(messages, window)
    expected = before + messages * len(clients)
    while sum(client.events for client in clients) < expected:
        await asyncio.sleep(0.005)
        if time.perf_counter() - start > 60:
            raise TimeoutError(f"{expected - sum(c.events for c in clients)} deliveries are missing")
    seconds, cpu = time.perf_counter() - start, cpu_seconds(server.pid) - cpu
    deliveries = messages * len(clients)
    return deliveries / seconds, messages / seconds, cpu / deliveries * 1e6


async def rounds(server: ServerProcess, quick: bool) -> None:
    print(f"{'watchers':>9} {'window':>7} {'deliveries/s':>13} {'sends/s':>9} {'CPU µs/delivery':>16}")
    clients: list[Client] = []
    for watchers in (10, 1_000):
        while len(clients) < watchers:
            missing = range(len(clients), min(watchers, len(clients) + 50))
            clients += await asyncio.gather(*(connect(server.port, f"user{n}") for n in missing))
        for window in (1, 50):
            messages = (2_000 if watchers == 10 else 200) * (1 if quick else 5)
            rate, sends, cpu = await measure(server, clients, window, messages)
            print(f"{watchers:>9} {window:>7} {rate:>13,.0f} {sends:>9,.0f} {cpu:>16.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the messages")
    parser.add_argument("--mongodb", action="store_true", help="store in a MongoDB of its own, not in SQLite")
    options = parser.parse_args()
    settings = {"JWT_SECRET": SECRET, "LOG_LEVEL": "WARNING", **LIMITS}
    with tempfile.TemporaryDirectory() as folder:
        if options.mongodb:
            with MongoServer(Path(folder) / "mongodb") as mongodb:
                serve(Path(folder), {**settings, "MONGODB_URI": mongodb.url}, options.quick)
        else:
            serve(Path(folder), settings, options.quick)


def serve(folder: Path, settings: dict[str, str], quick: bool) -> None:
    """Run the rounds against a server of its own, on a core of its own."""
    with ServerProcess(folder / "server", settings) as server:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(server.pid, cores[:1])
            os.sched_setaffinity(0, cores[1:])
        asyncio.run(rounds(server, quick))


if __name__ == "__main__":
    main()
