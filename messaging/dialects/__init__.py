"""The wire languages. One file each; a further one is one file more and one line here.

Pure: a dialect waits for nothing, reads no clock and holds no state (base.py says what one is).
REST is not among these: it is a table of routes (rest.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from messaging.dialects.base import Dialect
from messaging.dialects.chat import Chat
from messaging.dialects.messaging import Messaging
from messaging.dialects.rooms import Rooms
from messaging.dialects.unified import Unified
from messaging.dialects.ws_chat import WsChat

NAMESPACES: Mapping[str, Dialect] = MappingProxyType({"/messaging": Messaging(), "/chat": Chat()})
"""What is spoken over Socket.IO, by namespace."""

SOCKETS: Mapping[str, Dialect] = MappingProxyType(
    {"/ws/chat": WsChat(), "/ws": Unified(), "/ws/rooms": Rooms()}
)
"""What is spoken over plain WebSockets, by path."""

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.name: dialect for dialect in (*NAMESPACES.values(), *SOCKETS.values())}
)
"""All of them, by name."""
