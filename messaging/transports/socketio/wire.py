"""A dialect in Socket.IO packets. Pure; one object serves all sessions of a namespace."""

from __future__ import annotations

from messaging.dialects.base import Dialect, Frame, Payload
from messaging.transports.socketio.packets import Kind, prefix
from messaging.transports.strict_json import dumps


class SocketIoWire:
    """Writes frames as EVENT packets and answers as ACK packets, ready for any carrier."""

    def __init__(self, dialect: Dialect, namespace: str) -> None:
        self.dialect = dialect
        self._event = prefix(Kind.EVENT, namespace)
        self._ack = prefix(Kind.ACK, namespace)

    def encode(self, frame: Frame) -> str:
        """`42/ns,["name",payload]`."""
        return self._event + dumps([frame.name, frame.payload])

    def encode_ack(self, ref: object, payload: Payload) -> str:
        """`43/ns,<id>[payload]`."""
        return f"{self._ack}{ref}{dumps([payload])}"

    def with_offset(self, text: str, offset: str) -> str:
        """`42/ns,["name",payload,"offset"]`. What stands in an offset needs no escapes."""
        return f'{text[:-1]},"{offset}"]'
