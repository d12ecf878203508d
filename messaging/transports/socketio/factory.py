"""Puts the Socket.IO transport together, for the service as for small apps in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from messaging.service.ports import Mail
from messaging.transports.entrance import Entrance
from messaging.transports.handshake import Limits
from messaging.transports.line import goodbyes
from messaging.transports.neighbours import Neighbours
from messaging.transports.origins import Origins
from messaging.transports.socketio.elsewhere import Elsewhere
from messaging.transports.socketio.manager import LocalRooms, RedisRooms
from messaging.transports.socketio.namespace import Namespace
from messaging.transports.socketio.server import SocketServer

PATH = "/socket.io/"


def create_socketio(
    namespaces: Mapping[str, Namespace],
    *,
    limits: Limits | None = None,
    origins: Origins | None = None,
    entrance: Entrance | None = None,
    redis_url: str | None = None,
    verify_certificates: bool = True,
    trusted_hops: int = 0,
    binary: bool = False,
    mail: Mail | None = None,
    neighbours: Neighbours | None = None,
) -> SocketServer:
    """A server for these namespaces and no others. With `redis_url`, other programs can emit to its rooms.

    With `mail`, requests for sessions of other processes are passed on to them; with `neighbours`, to those
    on this machine with their connection.
    """
    manager: Any = LocalRooms()
    if redis_url is not None:
        manager = RedisRooms(redis_url, verify_certificates=verify_certificates)
    limits = limits or Limits()
    return SocketServer(
        namespaces,
        manager=manager,
        limits=limits,
        entrance=entrance,
        binary=binary,
        origins=origins or Origins(),
        trusted_hops=trusted_hops,
        elsewhere=Elsewhere(mail, neighbours, limits) if mail is not None else None,
    )


def mount(app: web.Application, server: SocketServer, path: str = PATH) -> None:
    """Let an app answer on `path`; the listener for other programs lives as long as the app.

    At shutdown everybody still connected is sent away first, so that aiohttp waits for nobody.
    """
    app.router.add_route("*", path, server.eio.handle_request)

    async def drain(_: web.Application) -> None:
        await server.drain()
        await goodbyes()

    async def listening(_: web.Application) -> AsyncIterator[None]:
        await server.manager.start()
        await server.eio.start()
        yield
        await server.eio.stop()
        await server.manager.stop()

    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(listening)
