"""P9 for those who poll: who asks for what waits and does not take it is cut off, though all of it lies in
the kernel and looks delivered."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import aiohttp

from scripts.chaos_harness.by_hand import Client
from scripts.chaos_harness.people import ENVIRONMENT, Crowd, crowd, token
from scripts.chaos_harness.record import until
from tests.conftest import Serve
from tests.servers import ServerProcess
from tests.transports.rfc6455 import established
from tests.transports.socketio.raw import RawPolling

SLOW = 8
BOUND_BYTES = 256 * 1024
BEHIND = 60
"""How many messages wait for those who poll when they ask for them: less than the bound."""
CONTENT = "é" * 3_000
RECEIVE_BYTES = 4096
"""How much the kernel takes for a client that does not read."""
BASE_SECONDS = 5.0


def open_files(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208  a folder that changes meanwhile


async def talk(client: Client, numbers: Iterable[int]) -> None:
    """Send large messages, all at once."""

    async def send(number: int) -> None:
        message = {"conversationId": "1", "content": CONTENT, "clientMessageId": f"{number}"}
        assert (await client.ask("send-message", message))["success"]

    await asyncio.gather(*map(send, numbers))


async def joined(http: aiohttp.ClientSession, base: str, user: str) -> RawPolling:
    """Joins by polling, and then polls no more."""
    client = await RawPolling.open(http, base)
    await client.post(f"40/messaging,{json.dumps({'token': token(user)})}")
    await client.until("40/messaging")
    await client.post(f"42/messaging,1{json.dumps(['join-conversation', {'conversationId': '1'}])}")
    await client.until("43/messaging,1[")
    return client


async def stalled(client: RawPolling, base: str) -> socket.socket:
    """Asks for what is there, and never reads the answer."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    narrow.setblocking(False)
    loop, address = asyncio.get_running_loop(), urlsplit(base)
    await loop.sock_connect(narrow, (address.hostname, address.port))
    poll = f"GET /socket.io/?EIO=4&transport=polling&sid={client.sid} HTTP/1.1\r\nHost: x\r\n\r\n"
    await loop.sock_sendall(narrow, poll.encode())
    return narrow


async def too_slow(people: Crowd) -> float:
    return await people.metric("messaging_connections_closed_total", 'reason="too slow"')


async def test_who_polls_and_does_not_take_it_is_cut_off_and_hurts_nobody(serve: Serve) -> None:
    server = serve({**ENVIRONMENT, "MAX_QUEUED_BYTES": str(BOUND_BYTES)})
    heard: list[int] = []

    def hear(name: str, message: dict[str, int]) -> None:
        if name == "new-message":
            heard.append(message["seq"])

    async with crowd(server.url) as people:
        names = [f"slow{number}" for number in range(SLOW)]
        await people.group("1", "talker", "fast", *names)
        talker, fast = await people.connect("talker"), await people.connect("fast", polling=True, hear=hear)
        assert (await fast.ask("join-conversation", {"conversationId": "1"}))["success"]
        base = open_files(server)
        slow = [await joined(people.http, server.url, name) for name in names]
        await talk(talker, range(BEHIND))
        sockets = [await stalled(client, server.url) for client in slow]
        sent = BEHIND
        async with asyncio.timeout(60):
            while await too_slow(people) < SLOW:
                await talk(talker, range(sent, sent + 5))
                sent += 5
        await until(lambda: not any(map(established, sockets)), BASE_SECONDS, "connections are gone")
        await until(lambda: open_files(server) <= base + 5, BASE_SECONDS, "their files, too")
        await until(lambda: len(heard) == sent, 20, "the other one has heard all")
        for client in (talker, fast):
            await client.close()
    for one in sockets:
        one.close()
    assert heard == list(range(1, sent + 1))
