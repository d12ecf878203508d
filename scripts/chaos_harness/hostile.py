"""Clients that mean no good, or nothing any more: they stop reading, or never finish what they began."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from scripts.chaos_harness.by_hand import Client, Gone, PollingCarrier
from scripts.chaos_harness.deaf import deaf
from scripts.chaos_harness.people import Crowd, token

KINDS = 6
RECEIVE_BYTES = 4096
"""How much the kernel takes for a client that does not read."""
HALF_A_HEAD = "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost:"
HALF_A_REQUEST = "POST /api/conversations/1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
POLL = "GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_POST = (
    "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    '42/messaging,["send-'
)


@asynccontextmanager
async def hostile(url: str, people: Crowd, users: Sequence[str]) -> AsyncIterator[None]:
    """One of each kind for each of these members of conversation 1, and one more who asks without end."""
    async with AsyncExitStack() as stack:
        for number, user in enumerate(users):
            await stack.enter_async_context(deaf(url, user, plain=number % 2 == 0))
            silent = await people.http.ws_connect(
                f"{url}/socket.io/?EIO=4&transport=websocket", max_msg_size=0
            )
            stack.push_async_callback(silent.close)
            for said in (
                HALF_A_HEAD,
                HALF_A_REQUEST,
                HALF_A_POST.format(sid=await _signed_in(people, url, user)),
                POLL.format(sid=await _signed_in(people, url, user)),
            ):
                await stack.enter_async_context(_unread(url, said))
        flood = asyncio.create_task(_ask_without_end(await people.connect(users[0], base=url)))
        stack.callback(flood.cancel)
        with contextlib.suppress(OSError):
            yield


@asynccontextmanager
async def _unread(url: str, said: str) -> AsyncIterator[None]:
    """Says this, and never reads what is answered."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    sock.setblocking(False)
    with sock:
        address, loop = urlsplit(url), asyncio.get_running_loop()
        await loop.sock_connect(sock, (address.hostname, address.port))
        await loop.sock_sendall(sock, said.encode())
        yield


async def _signed_in(people: Crowd, url: str, user: str) -> str:
    """The sid of somebody who polls, has joined, and polls no more."""
    carrier = await PollingCarrier.open(people.http, url)
    await carrier.receive()
    await carrier.send(f"40/messaging,{json.dumps({'token': token(user)})}")
    await _hear(carrier, "40/messaging,")
    await carrier.send('42/messaging,0["join-conversation",{"conversationId":"1"}]')
    await _hear(carrier, "43/messaging,0")
    return carrier.sid


async def _hear(carrier: PollingCarrier, beginning: str) -> None:
    while not any(packet.startswith(beginning) for packet in await carrier.receive()):
        pass


async def _ask_without_end(client: Client) -> None:
    """Reads all answers, but does not wait for them."""
    with contextlib.suppress(Gone):
        while not client.gone.is_set():
            await client.say("2", '["list-conversations",{}]', 1)
            await asyncio.sleep(0)
