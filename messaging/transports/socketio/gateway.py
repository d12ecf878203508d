"""The namespaces of our gateway: a signed-in client is a session."""

from __future__ import annotations

from typing import Any, cast

from messaging.dialects.base import Frame
from messaging.domain.errors import AuthFailed, PermissionDenied, RateLimited
from messaging.domain.models import Identity
from messaging.gateway.farewell import LOST, Farewell
from messaging.gateway.gateway import Gateway
from messaging.gateway.session import Session
from messaging.gateway.transport import Wire
from messaging.transports.credentials import auth_token
from messaging.transports.entrance import Entrance
from messaging.transports.socketio.namespace import Place, SignInRefused


class GatewayNamespace:
    """A namespace that speaks one dialect."""

    def __init__(self, gateway: Gateway, entrance: Entrance, wire: Wire, *, recovery: bool) -> None:
        self._gateway = gateway
        self._entrance = entrance
        self._wire = wire
        self._recovery = recovery

    async def sign_in(self, place: Place, auth: Any) -> SessionClient:
        """A session for whom the token names (docs/protocols.md, Signing in)."""
        peer = place.handshake.peer
        identity = await self._identity(auth_token(auth) or place.handshake.token, peer)
        if not (self._recovery and place.handshake.takes_offsets):
            return SessionClient(await self._gateway.admit(identity, self._wire, place, peer=peer))
        said = auth if isinstance(auth, dict) else {}
        recoveries = self._gateway.recoveries
        comeback = await recoveries.welcome(
            identity.profile.id,
            self._wire.dialect.name,
            place.sid,
            pid=said.get("pid"),
            offset=said.get("offset"),
        )
        place.sid = comeback.sid
        try:
            session = await self._gateway.admit(identity, self._wire, place, peer=peer, comeback=comeback)
        except BaseException:
            recoveries.released(comeback, LOST)
            raise
        return SessionClient(session)

    async def _identity(self, token: str | None, peer: str) -> Identity:
        try:
            return await self._entrance.sign_in(token, peer, self._wire.dialect.name)
        except (AuthFailed, PermissionDenied, RateLimited) as error:
            raise SignInRefused(error) from error


class SessionClient:
    """A session as the Socket.IO server sees it."""

    __slots__ = ("_session", "pid", "start")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.pid = session.comeback.pid if session.comeback else None
        self.start = session.start

    def take(self, name: str, args: list[Any], ack: int | None) -> bool:
        """One command, without waiting."""
        return self._session.take(Frame(name, args[0] if args else None), ack)

    async def event(self, name: str, args: list[Any], ack: int | None) -> None:
        """One command: its payload is the first argument."""
        await self._session.receive(Frame(name, args[0] if args else None), ack)

    def hear(self, parts: list[str | bytes]) -> None:
        """Told like everything else: held while the token has ended, and with the client's offset, since
        it takes any string at the end for one."""
        text, *attachments = parts
        if self._session.trail is not None:
            text = self._session.wire.with_offset(str(text), self._session.trail.offset)
        for part in (text, *attachments):
            self._session.push(cast(str, part))  # to whatever takes it, bytes too

    def answered(self) -> None:
        """A ping was answered."""
        self._session.confirmed(0)

    def closed(self, farewell: Farewell) -> None:
        """The connection has ended."""
        self._session.closed(farewell)
