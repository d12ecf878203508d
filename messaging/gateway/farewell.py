"""Why the server ends a connection: one catalogue, with what each reason tells the client.

An official Socket.IO client comes back by itself after a lost transport, and never after a DISCONNECT
packet: `comes_back` says which of the two the Socket.IO transport does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Farewell:
    """A reason to close: its name in logs and metrics, its WebSocket close code (RFC 6455, 7.4), and
    whether the client is welcome to come back with the same token."""

    reason: str
    code: int
    comes_back: bool


LEFT = Farewell("client disconnect", 1000, False)
"""The client closed."""
LOST = Farewell("transport lost", 1006, True)
"""The network, or the client's process, is gone."""
SILENT = Farewell("ping timeout", 1006, True)
"""The client did not answer a ping."""
UNREADABLE = Farewell("protocol error", 1002, True)
"""The client sent what the protocol does not know."""
TOO_LARGE = Farewell("frame too large", 1009, True)
SHUTDOWN = Farewell("shutdown", 1012, True)
"""This process stops; another one takes over."""
SLOW = Farewell("too slow", 4408, True)
"""The client did not read what was sent to it; it catches up when it returns."""
FAULT = Farewell("internal fault", 1011, True)
UNAVAILABLE = Farewell("storage unavailable", 1013, True)
UNSIGNED = Farewell("sign-in failed", 4401, False)
"""The token is bad, or ended and was not renewed in time."""
NO_SIGN_IN = Farewell("no sign-in in time", 4401, True)
REMOVED = Farewell("removed by an administrator", 4403, False)
