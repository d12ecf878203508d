"""Clients that join a conversation and then read nothing any more."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from scripts.chaos_harness.by_hand import ANSWER_SECONDS
from scripts.chaos_harness.people import token
from tests.transports.rfc6455 import TEXT, RawClient


@asynccontextmanager
async def deaf(url: str, user: str, *, plain: bool) -> AsyncIterator[socket.socket]:
    """One of them in conversation 1, with the smallest buffers that there are; its socket."""
    path = f"/ws/rooms?token={quote(token(user))}" if plain else "/socket.io/?EIO=4&transport=websocket"
    async with RawClient.connected(url, path, slow=True) as client:
        if plain:
            client.say(type="join", room="1")
            await _hear(client, '"joined"')
        else:
            client.send(TEXT, f"40/messaging,{json.dumps({'token': token(user)})}".encode())
            await _hear(client, "40/messaging,")
            client.send(TEXT, b'42/messaging,0["join-conversation",{"conversationId":"1"}]')
            await _hear(client, "43/messaging,0")
        yield client.socket


async def _hear(client: RawClient, text: str) -> None:
    while text not in (await client.until(TEXT, ANSWER_SECONDS)).payload.decode():
        pass
