"""What a namespace is to the server, and one client's place in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from messaging.domain.errors import ClientError
from messaging.gateway.farewell import Farewell
from messaging.transports.handshake import Handshake
from messaging.transports.socketio import packets
from messaging.transports.socketio.packets import Kind, Packet
from messaging.transports.socketio.socket import EngineSocket

if TYPE_CHECKING:
    from messaging.transports.socketio.server import SocketServer


class SignInRefused(Exception):
    """The token is bad: the client is told so with a CONNECT_ERROR, and does not come back with it."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(error.message)
        data = {"code": "AUTH_FAILED", "details": dict(error.details)}
        self.payload = {"message": error.message, "data": data}


class Client(Protocol):
    """Somebody who is connected to a namespace."""

    @property
    def pid(self) -> str | None:
        """By what they can come back after losing the connection; None where they cannot."""

    async def start(self) -> None:
        """They have been told that they are connected."""

    def take(self, name: str, args: list[Any], ack: int | None) -> bool:
        """They emitted an event, as for `event`. Whether it was taken; else nothing has happened, and `event`
        is to have it."""

    async def event(self, name: str, args: list[Any], ack: int | None) -> None:
        """They emitted an event, and want an ack where `ack` is a number. The name is empty where it may
        not be used or the arguments may not be read. The next event is read when this returns."""

    def hear(self, parts: list[str | bytes]) -> None:
        """Another program tells them something: an event's text, and its attachments."""

    def answered(self) -> None:
        """They answered a ping."""

    def closed(self, farewell: Farewell) -> None:
        """They are gone. Called once for each client that `sign_in` gave."""


class Namespace(Protocol):
    """What handles a namespace."""

    async def sign_in(self, place: Place, auth: Any) -> Client:
        """Let somebody in. Raises SignInRefused; ClientError: not now, come back."""


class Place:
    """One client's place in a namespace: the transport that its session writes to."""

    def __init__(self, server: SocketServer, socket: EngineSocket, namespace: str, sid: str) -> None:
        self.socket = socket
        self.namespace = namespace
        self.sid = sid
        self.client: Client | None = None
        self.write: Callable[[str], None] = socket.write
        self.write_history: Callable[[str], None] = socket.write_history
        self._server = server
        self._finished = False

    @property
    def crowded(self) -> bool:
        """Whether half of what may wait for the client does."""
        return self.socket.crowded

    @property
    def behind(self) -> bool:
        """Whether something that was written still waits here."""
        return self.socket.behind

    @property
    def handshake(self) -> Handshake:
        """What the connection's first request said."""
        return self.socket.handshake

    def send(self, kind: Kind, data: Any = None, *, ack: int | None = None) -> None:
        """Send a packet, with its attachments where it has some."""
        for part in packets.write(kind, self.namespace, data, id=ack):
            self.socket.write(part)

    async def drained(self) -> None:
        """Return when the client has taken what was written, or is gone."""
        await self.socket.drained()

    def probe(self, token: int) -> None:
        """Ask with a ping, which carries no token."""
        del token
        self.socket.ask()

    def close(self, farewell: Farewell) -> None:
        """End this place; the connection too, unless others still use it and it can be told apart."""
        if self._finished:
            return
        if farewell.comes_back:
            self.socket.end(farewell)
            return
        self.send(Kind.DISCONNECT)
        self._server.leave(self, farewell)

    def finish(self, farewell: Farewell) -> None:
        """It has ended: nothing more is written, and the client is told once."""
        if self._finished:
            return
        self._finished = True
        self.write = self.write_history = _nothing
        client, self.client = self.client, None  # a ring of references would wait for the garbage collector
        if client is not None:
            client.closed(farewell)

    def entered(self, conversation_id: str) -> None:
        """Watch a conversation: be in its room, for what other programs emit."""
        if not self._finished:
            self._server.manager.basic_enter_room(self.sid, self.namespace, room_of(conversation_id))

    def left(self, conversation_id: str) -> None:
        """No longer."""
        self._server.manager.basic_leave_room(self.sid, self.namespace, room_of(conversation_id))


class Connection:
    """The Socket.IO side of one Engine.IO connection: its places, and a binary packet that is not whole."""

    def __init__(self, cancel_deadline: Callable[[], None]) -> None:
        self.places: dict[str, Place] = {}
        self.partial: Packet | None = None
        self.cancel_deadline = cancel_deadline


def room_of(conversation_id: str) -> str:
    """The name of a conversation's room."""
    return f"conversation:{conversation_id}"


def _nothing(data: str) -> None:
    """The client is gone."""
