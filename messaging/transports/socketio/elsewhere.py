"""Requests for Engine.IO sessions that live in another process, which their sid names.

On this machine the request is handed over with its connection. To other machines, which often cannot be
reached, polls and posts are relayed by mail; an upgrade is refused there, and the client stays on polling.
"""

from __future__ import annotations

import logging
import re

from aiohttp import web

from messaging.domain.errors import Unavailable
from messaging.service.ports import Mail
from messaging.transports.handshake import Limits
from messaging.transports.neighbours import Neighbours
from messaging.transports.socketio import letters
from messaging.transports.socketio.answering import Answering, Sessions
from messaging.transports.socketio.asking import Asking
from messaging.transports.socketio.handshake import Refused
from messaging.transports.socketio.letters import Letter
from messaging.transports.socketio.polling import (
    BodyTooLarge,
    HttpPoll,
    read_bytes,
    text_response,
)

_SID = re.compile(r"([0-9a-f]{1,32})\.[A-Za-z0-9_-]{1,64}")
_READ_BY_US = {b"content-length", b"transfer-encoding", b"content-encoding", b"expect"}
"""Headers that say how a body comes; we pass it on whole."""

log = logging.getLogger(__name__)


def sid_of(owner: str, secret: str) -> str:
    """The sid of a session of this process; `secret` is what cannot be guessed."""
    return f"{owner}.{secret}"


class Elsewhere:
    """The sessions of the other processes."""

    def __init__(self, mail: Mail, neighbours: Neighbours | None, limits: Limits) -> None:
        self.name = mail.name
        self._mail = mail
        self._neighbours = neighbours
        self._limits = limits
        self._asking = Asking(mail)
        self._answering: Answering | None = None

    async def start(self, sessions: Sessions) -> None:
        """Begin to answer for the sessions of this process."""
        self._answering = Answering(self._mail, sessions, self._limits)
        await self._mail.start(self._hear)

    async def close(self) -> None:
        """Answer nothing more."""
        if self._answering is not None:
            await self._answering.close()

    async def carry_on(self, sid: str, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        """The answer to a request of a session that is not here. Raises Refused."""
        match = _SID.fullmatch(sid)
        if match is None or match[1] == self.name:
            raise Refused.unknown_session()
        if self._neighbours is not None and self._neighbours.has(match[1]) and _alone(request):
            return await self._hand_over(self._neighbours, match[1], request, headers)
        try:
            return await self._relay(match[1], sid, request, headers)
        except UnicodeDecodeError:
            raise Refused.bad_request() from None
        except Unavailable:
            raise Refused(4, "Unavailable", status=503, headers={"Retry-After": "1"}) from None

    # On this machine

    async def _hand_over(
        self, neighbours: Neighbours, owner: str, request: web.Request, headers: dict[str, str]
    ) -> web.StreamResponse:
        body = await self._body(request, headers)
        transport = request.transport
        if transport is None:
            return web.Response()
        transport.pause_reading()
        read = _head(request, len(body)) + body + request.protocol._message_tail
        connection: int = transport.get_extra_info("socket").fileno()
        try:
            if not await neighbours.hand_over(owner, connection, read):
                transport.resume_reading()
                raise Refused.unknown_session()
        except ConnectionError:
            log.warning("another worker does not say whether it took a connection")
        transport.abort()  # ours; the connection goes on as our neighbour's, or ends
        return web.Response()

    async def _body(self, request: web.Request, headers: dict[str, str]) -> bytes:
        try:
            return await read_bytes(request, self._limits.max_body_bytes)
        except BodyTooLarge:
            raise web.HTTPRequestEntityTooLarge(self._limits.max_body_bytes, 0, headers=headers) from None
        except ValueError:
            raise Refused.bad_request() from None

    # On another machine

    async def _relay(
        self, owner: str, sid: str, request: web.Request, headers: dict[str, str]
    ) -> web.StreamResponse:
        if request.query.get("transport") != "polling" or request.method not in ("GET", "POST"):
            raise Refused.bad_request()
        if request.method == "GET":
            poll = HttpPoll(request, headers)
            await self._asking.poll(owner, sid, poll)
            return poll.response
        body = await self._body(request, headers)
        await self._asking.post(owner, sid, body.decode())
        return text_response("ok", headers)

    def _hear(self, data: bytes) -> None:
        try:
            letter = Letter.decode(data)
        except ValueError:
            log.warning("another process writes what cannot be read")
            return
        if letter.kind in (letters.ANSWER, letters.CHECK):
            self._asking.hear(letter)
        elif self._answering is not None:
            self._answering.hear(letter)


def _alone(request: web.Request) -> bool:
    """Whether nothing was read of a request behind this one, which would be left here."""
    return not request.protocol._messages


def _head(request: web.Request, body_bytes: int) -> bytes:
    """The request line and headers as they came, but for how the body comes."""
    version = request.version
    line = f"{request.method} {request.raw_path} HTTP/{version.major}.{version.minor}\r\n".encode()
    kept = [(name, value) for name, value in request.raw_headers if name.lower() not in _READ_BY_US]
    if body_bytes:
        kept.append((b"Content-Length", b"%d" % body_bytes))
    return line + b"".join(b"%s: %s\r\n" % header for header in kept) + b"\r\n"
