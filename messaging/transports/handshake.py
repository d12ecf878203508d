"""What is known of a client when it knocks, and how much it may do: the same for all socket transports."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from messaging.transports.credentials import deciding_token, subprotocol
from messaging.transports.origins import Origins
from messaging.transports.peer import peer_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large, how long, how many. Times in seconds."""

    ping_seconds: float = 25.0
    pong_seconds: float = 20.0
    connect_seconds: float = 10.0
    """Between the Engine.IO handshake and the first namespace."""
    confirm_seconds: float = 10.0
    """How long another process may take to say whether its client has the answer to a poll."""
    keeps_polls: bool = False
    """Whether a poll may be given up, and the next one brings what it should have brought. Otherwise that
    ends the session, as in the reference implementation, whose clients come back with a new one."""
    max_frame_bytes: int = 1_000_000
    max_body_bytes: int = 1_000_000
    max_queued_bytes: int = 1024 * 1024
    max_queued_frames: int = 256
    write_bytes: int = 64 * 1024
    """How much of the outbox is written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """Who opened a connection, and with which token, as far as its first request tells.

    `auth` of a namespace's CONNECT packet comes before `token`.
    """

    peer: str
    token: str | None = field(default=None, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    max_poll_packets: int | None = None
    """python-engineio's client gives up on a poll with more than 16 packets."""
    takes_offsets: bool = True
    """Whether an event may have one more argument than its handlers know. Some clients call a handler with
    exactly what came (python-socketio: TypeError) or with a list of it (Dart); none of these can recover."""


def _takes_offsets(request: web.Request) -> bool:
    """python-engineio does not always say who it is, but is alone in naming the transport first."""
    transport_first = request.query_string.find("transport=") < request.query_string.find("EIO=")
    return not transport_first and not request.headers.get("User-Agent", "").startswith("Dart/")


def handshake_of(request: web.Request, origins: Origins, trusted_hops: int) -> Handshake:
    """Read the first request of a connection."""
    offered = subprotocol(request.headers.get("Sec-WebSocket-Protocol", ""))
    forwarded = request.headers.getall("X-Forwarded-For", ())
    token = deciding_token(
        query=request.query,
        headers=request.headers,
        cookies=request.cookies,
        trust_cookie=origins.trusts(request.headers.get("Origin"), request.headers.get("Host")),
    )
    return Handshake(
        peer=peer_address(request.remote, tuple(forwarded), trusted_hops),
        token=token,
        subprotocols=(offered.answer,) if offered.answer else (),
        max_poll_packets=16 if "python" in request.headers.get("User-Agent", "").lower() else None,
        takes_offsets=_takes_offsets(request),
    )
