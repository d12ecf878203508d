"""Plain WebSockets: one path for each dialect (docs/protocols.md, WebSocket rules).

Browsers cannot read a refused handshake. So whoever can still be told in the words of the dialect is let in,
told, and sent away; only what must cost nothing is refused by HTTP.
"""

from __future__ import annotations

import logging
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from aiohttp import web
from aiohttp.typedefs import Handler

from messaging.dialects import rest
from messaging.dialects.base import Dialect, Frame, Payload
from messaging.domain.errors import (
    AuthFailed,
    ClientError,
    InvalidFormat,
    PermissionDenied,
    RateLimited,
    Unavailable,
)
from messaging.domain.ids import message_id
from messaging.domain.models import Identity
from messaging.gateway import farewell as farewells
from messaging.gateway.farewell import Farewell
from messaging.gateway.gateway import Gateway
from messaging.gateway.session import Session
from messaging.transports import strict_json
from messaging.transports.connection import Connection
from messaging.transports.entrance import Entrance
from messaging.transports.handshake import Handshake, Limits, handshake_of
from messaging.transports.line import Line, goodbyes
from messaging.transports.origins import Origins
from messaging.transports.upgrade import DONE

MAX_DEVICE_CHARACTERS = 64

log = logging.getLogger(__name__)


@runtime_checkable
class Batching(Protocol):
    """A dialect that can say several frames in one, to connections that ask for it by `?batch=1`."""

    def batch(self, frames: Sequence[Frame], at: datetime) -> Frame:
        """These frames in one; their payloads are put into its own as they are, and never looked at."""


class WebSocketWire:
    """A dialect's frames as text, one object for all of its sessions."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def encode(self, frame: Frame) -> str:
        """The frame's object."""
        return strict_json.dumps(frame.payload)

    def encode_ack(self, ref: object, payload: Payload) -> str:  # noqa: ARG002, a wire's signature
        """Nobody asks for acks here. Raises TypeError."""
        raise TypeError("frames have no acks")

    def with_offset(self, text: str, offset: str) -> str:  # noqa: ARG002, a wire's signature
        """Devices have positions here, and nobody a trail. Raises TypeError."""
        raise TypeError("frames have no offsets")


class WebSockets:
    """The plain-WebSocket endpoints of this process."""

    def __init__(
        self,
        gateway: Gateway,
        entrance: Entrance,
        origins: Origins,
        *,
        limits: Limits | None = None,
        trusted_hops: int = 0,
    ) -> None:
        self._gateway = gateway
        self._entrance = entrance
        self._origins = origins
        self._limits = limits or Limits()
        self._trusted_hops = trusted_hops
        self._devices: set[tuple[str, str]] = set()
        """Users and their devices that are connected here."""
        self._connections: set[Connection] = set()

    def routes(self, dialects: Mapping[str, Dialect]) -> list[web.RouteDef]:
        """What is served: each dialect on its path."""
        return [web.get(path, self._serving(dialect), allow_head=False) for path, dialect in dialects.items()]

    async def drain(self, _app: web.Application) -> None:
        """Send everybody away: for `on_shutdown`, so that aiohttp waits for nobody."""
        for connection in list(self._connections):
            connection.close(farewells.SHUTDOWN)
        await goodbyes()

    # Coming in

    def _serving(self, dialect: Dialect) -> Handler:
        wire = WebSocketWire(dialect)

        async def serve(request: web.Request) -> web.StreamResponse:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
            if not self._origins.allows(origin, host):
                return _refused(PermissionDenied("This page may not connect."))
            if request.headers.get("Upgrade", "").lower() != "websocket":
                upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
                return _refused(InvalidFormat("Connect with a WebSocket."), 426, upgrade)
            visit = _Visit(request, handshake_of(request, self._origins, self._trusted_hops), wire)
            try:
                return await self._enter(visit)
            except ConnectionError:  # the client went away during the handshake
                return DONE

        return serve

    async def _enter(self, visit: _Visit) -> web.StreamResponse:
        peer = visit.handshake.peer
        try:
            await self._entrance.opening(peer, visit.handshake.token)
        except ClientError as error:
            return _refused(error)
        try:
            return await self._sign_in(visit)
        finally:
            self._entrance.closed(peer)

    async def _sign_in(self, visit: _Visit) -> web.StreamResponse:
        try:
            identity = await self._entrance.sign_in(
                visit.handshake.token, visit.handshake.peer, visit.wire.dialect.name
            )
            session, connection = await self._admit(visit, identity)
        except RateLimited as error:
            return _refused(error)
        except ClientError as error:
            return await self._turn_away(visit, error)
        device = (session.user_id, session.device or "")
        self._devices.add(device)
        self._connections.add(connection)
        try:
            return await self._converse(visit, session, connection)
        finally:
            connection.close(farewells.LOST)
            self._devices.discard(device)
            self._connections.discard(connection)

    async def _admit(self, visit: _Visit, identity: Identity) -> tuple[Session, Connection]:
        connection = Connection(self._limits, self._joining(visit))
        device, resumes = self._device(visit.wished_device, identity.profile.id)
        session = await self._gateway.admit(
            identity,
            visit.wire,
            connection,
            peer=visit.handshake.peer,
            device=device,
            resumes=resumes,
            after=visit.after,
        )
        connection.sink = _Client(session)
        return session, connection

    def _device(self, wished: str, user_id: str) -> tuple[str, str | None]:
        """The name that a device asks for. Where another connection of its user has that, a new one and the
        name asked for: the other may be its own, dead and not noticed yet."""
        fit = 0 < len(wished) <= MAX_DEVICE_CHARACTERS and not any(
            unicodedata.category(character) in ("Cc", "Cs") for character in wished
        )
        if fit and (user_id, wished) not in self._devices:
            return wished, None
        return str(uuid.uuid4()), wished if fit else None

    def _joining(self, visit: _Visit) -> Callable[[Sequence[str]], str] | None:
        dialect = visit.wire.dialect
        if not visit.batches or not isinstance(dialect, Batching):
            return None
        batch, clock = dialect.batch, self._gateway.ctx.clock

        def join(texts: Sequence[str]) -> str:
            frames = [Frame("", strict_json.written(text)) for text in texts]
            return strict_json.dumps(batch(frames, clock()).payload)

        return join

    # Being in

    async def _converse(self, visit: _Visit, session: Session, connection: Connection) -> web.StreamResponse:
        line = await visit.accept(self._limits, connection.pong)
        try:
            connection.open(line)
            await session.start()
            await connection.read()
        except Exception:  # a bug must not leave half a connection behind
            log.exception("a WebSocket failed")
            connection.close(farewells.FAULT)
        return line.finish()

    async def _turn_away(self, visit: _Visit, error: ClientError) -> web.StreamResponse:
        """Let them in, to tell them why they may not come in."""
        farewell = _farewell(error)
        line = await visit.accept(self._limits)
        if farewell.code >= farewells.UNSIGNED.code:
            for frame in visit.wire.dialect.refusal(None, error, self._gateway.ctx.clock()).frames:
                line.send(visit.wire.encode(frame))
        line.end(farewell.code, farewell.reason)
        while await line.receive() is not None:
            pass
        return line.finish()


class _Visit:
    """A request to be let in, and what it asks for."""

    def __init__(self, request: web.Request, handshake: Handshake, wire: WebSocketWire) -> None:
        self.handshake = handshake
        self.wire = wire
        self.wished_device = request.query.get("client_id", "")
        self.batches = request.query.get("batch") == "1"
        self._request = request

    @property
    def after(self) -> int | None:
        """The message after which it wants to go on."""
        try:
            return message_id(self._request.query.get("after", ""))
        except ValueError:
            return None

    async def accept(self, limits: Limits, pong: Callable[[bytes], None] = lambda _: None) -> Line:
        """Answer the upgrade."""
        return await Line.accept(
            self._request,
            max_frame_bytes=limits.max_frame_bytes,
            protocols=self.handshake.subprotocols,
            compress=True,
            pong=pong,
        )


class _Client:
    """A session, as its connection sees it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.take = session.take
        self.receive = session.receive
        self.confirmed = session.confirmed
        self.closed = session.closed

    def unreadable(self, why: str) -> None:
        """Told in the words of the dialect, in its turn; the connection stays."""
        self._session.refuse(InvalidFormat(why))


def _farewell(error: ClientError) -> Farewell:
    match error:
        case AuthFailed():
            return farewells.UNSIGNED
        case PermissionDenied():
            return farewells.REMOVED
        case Unavailable():
            return farewells.UNAVAILABLE
        case _:
            return farewells.FAULT


def _refused(
    error: ClientError, status: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer instead of an upgrade."""
    told = rest.refusal(None, error, status=status)
    return web.Response(
        status=told.status,
        text=strict_json.dumps(told.body),
        content_type="application/json",
        headers={**told.headers, **(headers or {})},
    )
