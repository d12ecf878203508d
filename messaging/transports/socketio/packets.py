"""The packets of Engine.IO v4 and Socket.IO v5, read strictly. Pure.

What is no packet raises ValueError, and ends the connection. A packet whose JSON is only unfit (NaN, lone
surrogates, too deep) is a bad argument of somebody who can be answered: it comes out with `unfit` set.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from socketio.packet import Packet as HostPacket

from messaging.transports import strict_json

SEPARATOR = "\x1e"
"""Between the packets of a polling payload."""
MAX_ATTACHMENTS = 10

# The array of an event's arguments is one level that the arguments themselves do not have.
_MAX_DEPTH = strict_json.MAX_DEPTH + 1
_SHAPE = re.compile(r"(?:(/[^,]*)(?:,|\Z))?([0-9]{0,15})(.*)", re.DOTALL)
_EVENT = re.compile(r"42(?:(/[^,?\[]*),)?([0-9]{0,15})(\[.*)", re.DOTALL)
_ATTACHMENTS = re.compile(r"([0-9]{1,2})-")


class Engine(IntEnum):
    """Engine.IO's packet types."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class Kind(IntEnum):
    """Socket.IO's packet types."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


BINARY = (Kind.BINARY_EVENT, Kind.BINARY_ACK)


@dataclass(slots=True)
class Packet:
    """One Socket.IO packet of a client. `data` of an event or ack is the list of its arguments."""

    kind: Kind
    namespace: str = "/"
    id: int | None = None
    data: Any = None
    attachments: int = 0
    unfit: bool = False
    collected: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The event's name; empty where it is no string."""
        name = self.data[0] if self.data else ""
        return name if isinstance(name, str) else ""

    def collect(self, attachment: bytes) -> bool:
        """Take one attachment; True when it was the last one and `data` is whole."""
        self.collected.append(attachment)
        if len(self.collected) < self.attachments:
            return False
        self.data = _rebuild(self.data, self.collected)
        return True


class PacketJson:
    """The strict JSON gate in the shape that python-socketio asks for."""

    @staticmethod
    def dumps(value: Any, **_: object) -> str:
        return strict_json.dumps(value)

    @staticmethod
    def loads(text: str | bytes, **_: object) -> Any:
        return strict_json.loads(text, max_depth=_MAX_DEPTH)


class StrictPacket(HostPacket):
    """python-socketio's packet with our JSON, without changing it for the whole process."""

    json = PacketJson


def read_engine(raw: str | bytes, *, polling: bool = False) -> tuple[Engine, str | bytes]:
    """An Engine.IO packet: its type, and what it carries. A binary one is always a message."""
    if isinstance(raw, bytes):
        return Engine.MESSAGE, raw
    if polling and raw[:1] == "b":
        try:
            return Engine.MESSAGE, base64.b64decode(raw[1:], validate=True)
        except binascii.Error as error:
            raise ValueError("bad base64") from error
    if raw[:1] not in {"0", "1", "2", "3", "4", "5", "6"}:
        raise ValueError("unknown engine packet")
    return Engine(int(raw[0])), raw[1:]


def write_polling(packet: str | bytes) -> str:
    """An engine packet as polling carries it."""
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()


def read_event(raw: str) -> tuple[str, int | None, str, list[Any]] | None:
    """The namespace, ack id, name and arguments of an event, from the whole engine packet; None for anything
    but an event of the usual form, which `read_engine` and `read` see to."""
    shape = _EVENT.match(raw)
    if shape is None:
        return None
    namespace, number, text = shape.groups()
    try:
        name, *args = strict_json.loads(text, max_depth=_MAX_DEPTH)
    except ValueError:  # not to be read, or empty
        return None
    if type(name) is not str:
        return None
    return namespace or "/", int(number) if number else None, name, args


def read(text: str) -> Packet:
    """A Socket.IO packet of a client; `collect` its attachments before use."""
    if text[:1] not in {"0", "1", "2", "3", "5", "6"}:
        raise ValueError("unknown packet")
    kind = Kind(int(text[0]))
    attachments, start = _attachments(kind, text)
    shape = _SHAPE.fullmatch(text, start)
    if shape is None:
        raise ValueError("no packet")
    packet = Packet(kind, attachments=attachments)
    packet.namespace = (shape[1] or "/").partition("?")[0]
    packet.id = int(shape[2]) if shape[2] else None
    _load(packet, shape[3])
    return packet


def write(kind: Kind, namespace: str, data: Any = None, *, id: int | None = None) -> list[str | bytes]:  # noqa: A002 - the protocol's word
    """A packet as engine packets: one text, and after it the attachments of a binary one."""
    encoded = StrictPacket(int(kind), data=data, namespace=namespace, id=id).encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return [f"{Engine.MESSAGE:d}{text}", *map(bytes, attachments)]


def prefix(kind: Kind, namespace: str) -> str:
    """How a text packet of this kind begins, engine type included."""
    return f"{Engine.MESSAGE:d}{kind:d}" + ("" if namespace == "/" else f"{namespace},")


def _attachments(kind: Kind, text: str) -> tuple[int, int]:
    """How many attachments a packet announces, and where the rest begins."""
    if kind not in BINARY:
        return 0, 1
    found = _ATTACHMENTS.match(text, 1)
    if found is None or not 1 <= int(found[1]) <= MAX_ATTACHMENTS:
        raise ValueError("bad number of attachments")
    return int(found[1]), found.end()


def _load(packet: Packet, text: str) -> None:
    try:
        packet.data = strict_json.loads(text, max_depth=_MAX_DEPTH) if text else None
    except strict_json.UnfitJson:
        if packet.kind is Kind.CONNECT:
            raise
        packet.unfit, packet.data = True, []
    else:
        _check_shape(packet)


def _check_shape(packet: Packet) -> None:
    match packet.kind, packet.data:
        case Kind.CONNECT, None | dict():
            return
        case Kind.DISCONNECT, None:
            return
        case Kind.EVENT | Kind.BINARY_EVENT, [_, *_]:
            return
        case Kind.ACK | Kind.BINARY_ACK, list() if packet.id is not None:
            return
    raise ValueError("bad payload")


def _rebuild(value: Any, attachments: list[bytes]) -> Any:
    match value:
        case {"_placeholder": True, "num": int(number)}:
            if not 0 <= number < len(attachments):
                raise ValueError("no such attachment")
            return attachments[number]
        case dict():
            return {key: _rebuild(item, attachments) for key, item in value.items()}
        case list():
            return [_rebuild(item, attachments) for item in value]
        case _:
            return value
