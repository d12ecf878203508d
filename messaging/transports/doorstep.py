"""The doorstep: TCP connections before they are served. One that another worker took is served as if it had
come here; one on which nobody asks for anything does not stay.

aiohttp waits for a first request as long as for a next one, and so for the rest of a head without end. A next
request may take as long as load balancers keep their connections.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from messaging.transports.line import sever

FIRST_REQUEST_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0
"""Longer than proxies and load balancers wait (60 seconds), so that they end a connection, and not we."""
LOOK_SECONDS = 1.0


async def watch(runner: web.AppRunner, seconds: float = FIRST_REQUEST_SECONDS) -> None:
    """Cut whoever has not asked for anything in time. Until cancelled."""
    loop = asyncio.get_running_loop()
    since: dict[RequestHandler, float] = {}
    while runner.server is not None:
        await asyncio.sleep(min(LOOK_SECONDS, seconds))
        now = loop.time()
        since = {one: since.get(one, now) for one in runner.server.connections if _has_asked_nothing(one)}
        for connection, first_seen in since.items():
            if now - first_seen >= seconds and connection.transport is not None:
                sever(connection.transport)


async def adopted(runner: web.AppRunner, connection: socket.socket, read: bytes) -> None:
    """Serve a connection as if it had come here, from the bytes on that another process read from it."""
    if runner.server is None:
        connection.close()
        raise OSError("nothing is served any more")
    try:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.connect_accepted_socket(runner.server, connection)
    except BaseException:
        connection.close()
        raise
    tcp = protocol.transport
    if tcp is not None and not tcp.is_closing():  # its client may have gone on the way
        protocol.data_received(read)


def _has_asked_nothing(connection: RequestHandler) -> bool:
    return connection._request_count == 0  # noqa: SLF001, nothing else tells
