"""Socket.IO over our Engine.IO: who is in which namespace, and what they say there.

Nothing is handled before sign-in succeeded, nothing is dispatched by an event's name, and whatever fails
while somebody comes in leaves them outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import socketio

from messaging.domain.errors import ClientError
from messaging.gateway import farewell as farewells
from messaging.gateway.farewell import Farewell
from messaging.transports.entrance import Entrance
from messaging.transports.handshake import Handshake, Limits
from messaging.transports.socketio import packets
from messaging.transports.socketio.engine import EngineServer
from messaging.transports.socketio.namespace import Client, Connection, Namespace, Place, SignInRefused
from messaging.transports.socketio.packets import Kind, Packet, StrictPacket, read_event
from messaging.transports.socketio.socket import EngineSocket

log = logging.getLogger(__name__)

SIGN_IN_SECONDS = 10.0
RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
_INVALID_NAMESPACE = {"message": "Invalid namespace"}


class SocketServer(socketio.AsyncServer):
    """The namespaces of this process. A sink of the Engine.IO server."""

    eio: EngineServer

    def __init__(
        self,
        namespaces: Mapping[str, Namespace],
        *,
        manager: Any,
        limits: Limits,
        entrance: Entrance | None = None,
        binary: bool = False,
        **engine: Any,
    ) -> None:
        super().__init__(
            client_manager=manager,
            serializer=StrictPacket,
            namespaces=list(namespaces),
            async_handlers=False,
            logger=logging.getLogger("messaging.transports.socketio.host"),
            engineio_logger=logging.getLogger("messaging.transports.socketio.host.engine"),
            limits=limits,
            **engine,
        )
        self.eio.sink = self
        self._spaces = namespaces
        self._limits = limits
        self._entrance = entrance
        self._binary = binary
        self._connections: dict[str, Connection] = {}

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    @property
    def connections(self) -> int:
        """How many clients are connected, in a namespace or not."""
        return len(self._connections)

    # What Engine.IO says

    async def opening(self, handshake: Handshake) -> None:
        if self._entrance is not None:
            await self._entrance.opening(handshake.peer, handshake.token)

    def opened(self, socket: EngineSocket) -> None:
        self._connections[socket.sid] = Connection(lambda: None)
        self._expect_a_namespace(socket)

    def closed(self, socket: EngineSocket, farewell: Farewell) -> None:
        connection = self._connections.pop(socket.sid)
        connection.cancel_deadline()
        for place in list(connection.places.values()):
            self._finish(place, farewell)
        if self._entrance is not None:
            self._entrance.closed(socket.handshake.peer)

    def take(self, socket: EngineSocket, raw: str) -> bool:
        connection = self._connections.get(socket.sid)
        if connection is None or connection.partial is not None or (event := read_event(raw)) is None:
            return False
        namespace, ack, name, args = event
        place = connection.places.get(namespace)
        if place is None or place.client is None or name in RESERVED:
            return False
        return place.client.take(name, args, ack)

    def answered(self, socket: EngineSocket) -> None:
        """The client answered a ping."""
        connection = self._connections.get(socket.sid)
        for place in list(connection.places.values()) if connection else ():
            if place.client is not None:
                place.client.answered()

    async def message(self, socket: EngineSocket, data: str | bytes) -> None:
        connection = self._connections.get(socket.sid)
        if connection is None:
            return
        packet = self._whole(connection, data)
        if packet is None:
            return
        if packet.kind is Kind.CONNECT:
            await self._connect(socket, connection, packet)
        elif place := connection.places.get(packet.namespace):
            await self._said(place, packet)

    # Coming in

    async def _connect(self, socket: EngineSocket, connection: Connection, packet: Packet) -> None:
        namespace = self._spaces.get(packet.namespace)
        if namespace is None:
            self._refuse(socket, packet.namespace, _INVALID_NAMESPACE)
            return
        if packet.namespace in connection.places:
            return
        place = Place(self, socket, packet.namespace, self.eio.generate_id())
        try:
            client = await self._sign_in(namespace, place, packet.data)
        except SignInRefused as refused:
            self._refuse(socket, packet.namespace, refused.payload)
        except (ClientError, TimeoutError):
            socket.end(farewells.UNAVAILABLE)
        else:
            await self._let_in(place, client)

    async def _sign_in(self, namespace: Namespace, place: Place, auth: Any) -> Client:
        try:
            async with asyncio.timeout(SIGN_IN_SECONDS):
                return await namespace.sign_in(place, auth)
        except ValueError as error:  # a bug, not an unreadable packet
            raise RuntimeError("sign-in failed") from error

    async def _let_in(self, place: Place, client: Client) -> None:
        """Make them known, tell them, and begin; unless they went away meanwhile."""
        place.client = client
        connection = self._connections.get(place.socket.sid)
        if connection is None:
            place.finish(place.socket.farewell or farewells.LOST)
            return
        connection.cancel_deadline()
        connection.places[place.namespace] = place
        self.manager.arrive(place.sid, place.namespace, place.socket.sid)
        place.send(Kind.CONNECT, {"sid": place.sid} | ({"pid": client.pid} if client.pid else {}))
        if client.pid is None:  # who may recover is no such client, and has to hear at once what it missed
            await place.socket.flushed()
        if place.client is client:  # who has gone meanwhile has been told so
            await client.start()

    def _refuse(self, socket: EngineSocket, namespace: str, payload: Mapping[str, Any]) -> None:
        for part in packets.write(Kind.CONNECT_ERROR, namespace, dict(payload)):
            socket.write(part)

    def _expect_a_namespace(self, socket: EngineSocket) -> None:
        """Somebody without any namespace has so long to enter one."""
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self._limits.connect_seconds, socket.end, farewells.NO_SIGN_IN)
        self._connections[socket.sid].cancel_deadline = deadline.cancel

    # Being in

    def _whole(self, connection: Connection, data: str | bytes) -> Packet | None:
        """The packet that is complete with `data`; None while attachments are missing."""
        if isinstance(data, bytes):
            if connection.partial is None:
                raise ValueError("an attachment without its packet")
            if not connection.partial.collect(data if self._binary else b""):
                return None
            packet, connection.partial = connection.partial, None
            return packet
        if connection.partial is not None:
            raise ValueError("a packet between attachments")
        packet = packets.read(data)
        if packet.attachments and packet.namespace not in connection.places:
            raise ValueError("attachments from somebody who is not signed in")
        connection.partial = packet if packet.attachments else None
        return None if packet.attachments else packet

    async def _said(self, place: Place, packet: Packet) -> None:
        client = place.client
        if client is None:
            return
        match packet.kind:
            case Kind.EVENT:
                await client.event(*_event(packet), packet.id)
            case Kind.BINARY_EVENT:
                name, args = _event(packet) if self._binary else ("", [])
                await client.event(name, args, packet.id)
            case Kind.ACK | Kind.BINARY_ACK:
                if place.sid in self.manager.callbacks and not packet.unfit:
                    await self.manager.trigger_callback(place.sid, packet.id, packet.data)
            case Kind.DISCONNECT:
                self._leave(place, farewells.LEFT)
            case _:
                raise ValueError("not for a client to send here")

    # Going

    def leave(self, place: Place, farewell: Farewell) -> None:
        """The server ended a place for good: the connection goes with the last of them."""
        self._leave(place, farewell)
        connection = self._connections.get(place.socket.sid)
        if connection is not None and not connection.places:
            place.socket.end(farewell)

    def _leave(self, place: Place, farewell: Farewell) -> None:
        connection = self._connections.get(place.socket.sid)
        self._finish(place, farewell)
        if connection is not None:
            connection.places.pop(place.namespace, None)
            if not connection.places:
                self._expect_a_namespace(place.socket)

    def _finish(self, place: Place, farewell: Farewell) -> None:
        self.manager.basic_disconnect(place.sid, place.namespace)
        try:
            place.finish(farewell)
        except Exception:  # the other places of the connection must hear of it all the same
            log.exception("closing a session failed")

    async def drain(self, *, spread_seconds: float = 0.0, farewell: Farewell = farewells.SHUTDOWN) -> None:
        """Let nobody in any more, and send everybody away, spread over so many seconds."""
        await self.eio.drain(spread_seconds=spread_seconds, farewell=farewell)

    # What python-socketio and other programs call

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit to a room or a client. Raises ValueError without one: never to everybody by mistake."""
        room = to or room
        if not room:
            raise ValueError("emit needs a room")
        await self.manager.emit(
            event, data, namespace or "/", room=room, skip_sid=skip_sid, callback=callback, ignore_queue=True
        )

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Send a client away for good."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace or "/")
        connection = self._connections.get(eio_sid)
        if connection is not None and (place := connection.places.get(namespace or "/")):
            place.close(farewells.REMOVED)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        self.write_to(eio_sid, _parts(pkt.encode()))

    def write_to(self, eio_sid: str, parts: list[str | bytes]) -> None:
        """Write engine packets to a connection, if it is still there."""
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            for part in parts:
                socket.write(part)

    def write_event(self, eio_sid: str, namespace: str, parts: list[str | bytes]) -> None:
        """Write an event of another program to a client, if it is still there."""
        connection = self._connections.get(eio_sid)
        place = connection.places.get(namespace) if connection is not None else None
        if place is not None and place.client is not None:
            place.client.hear(parts)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Nothing here is dispatched by the name of an event."""
        return self.not_handled


def _event(packet: Packet) -> tuple[str, list[Any]]:
    """An event's name and arguments; the name is empty where it may not be used."""
    if packet.unfit or packet.name in RESERVED:
        return "", []
    return packet.name, packet.data[1:]


def _parts(encoded: str | list[str | bytes]) -> list[str | bytes]:
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return [f"{packets.Engine.MESSAGE:d}{text!s}", *attachments]
