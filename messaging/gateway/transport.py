"""What a session needs of the connection under it, and of the language spoken on it."""

from __future__ import annotations

from typing import Protocol

from messaging.dialects.base import Dialect, Frame, Payload
from messaging.gateway.farewell import Farewell


class Wire(Protocol):
    """How a dialect's frames become what a transport writes. One object per dialect, shared by all of
    its sessions, so that an event is encoded once for all of them."""

    dialect: Dialect

    def encode(self, frame: Frame) -> str:
        """A frame as text, ready to be written to any connection of this wire."""

    def encode_ack(self, ref: object, payload: Payload) -> str:
        """The ack of the command that came with `ref`, as text."""

    def with_offset(self, text: str, offset: str) -> str:
        """The text of an event with `offset` as its last argument. Only for sessions that have a trail."""


class Transport(Protocol):
    """One client's connection, as its session sees it."""

    def write(self, data: str) -> None:
        """Send text, in order, without waiting. Live frames count against the connection's bounds;
        beyond them the transport closes itself as too slow. After close: does nothing."""

    @property
    def crowded(self) -> bool:
        """Whether the client is on its way to being too slow: what can be left out is, from here on."""

    @property
    def behind(self) -> bool:
        """Whether something that was written still waits here."""

    def write_history(self, data: str) -> None:
        """Send text that does not count against the bounds (history, replays); see `drained`."""

    async def drained(self) -> None:
        """Return when the client has taken most of what was written, or is gone."""

    def close(self, farewell: Farewell) -> None:
        """End the connection; calls `Session.closed` once it has ended. Idempotent."""

    def entered(self, conversation_id: str) -> None:
        """The session watches a conversation from now on (Socket.IO: enter room `conversation:<id>`)."""

    def left(self, conversation_id: str) -> None:
        """… and no longer."""

    def probe(self, token: int) -> None:
        """Ask the client to answer; `Session.confirmed(token)` is called once it has. What was written
        before has reached it then. Socket.IO's pings carry no token: there any answer is told, as of 0."""
