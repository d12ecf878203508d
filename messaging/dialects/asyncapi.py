"""The AsyncAPI 3.0 document of the five protocols, made from the tables that read and answer.

One channel for each Socket.IO namespace and each WebSocket path. As AsyncAPI wants it, `receive` and `send`
are said of the server: it receives commands and sends events. An ack of Socket.IO is the reply to a
command; so are the frames that answer one on a WebSocket, and the `error` frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from messaging.dialects import NAMESPACES, SOCKETS
from messaging.dialects.answers import SUCCESS, TEXT, Document, shape
from messaging.dialects.base import Dialect, Payload
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from messaging.dialects.namespace import Row as AckedRow
from messaging.dialects.told import AT, ERROR, ERROR_EXAMPLE, Told, Vocabulary, form

Tabular = Namespace | Frames

SECURITY_SCHEMES: Mapping[str, Document] = {
    "auth": {
        "type": "apiKey",
        "in": "password",
        "description": "Socket.IO's `auth: {token}`, a JSON Web Token.",
    },
    "query": {"type": "httpApiKey", "in": "query", "name": "token", "description": "A JSON Web Token."},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "In `Authorization`, or as `Sec-WebSocket-Protocol: bearer, <token>`.",
    },
    "cookie": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": "access_token",
        "description": "Only from an allowed Origin.",
    },
}

_HOST: Document = {
    "host": "{host}",
    "protocol": "ws",
    "variables": {"host": {"default": "localhost:3000", "description": "Where the service is."}},
}
_REFUSED = {"success": False, **ERROR_EXAMPLE}


def document(
    version: str, namespaces: Mapping[str, Dialect] = NAMESPACES, sockets: Mapping[str, Dialect] = SOCKETS
) -> Document:
    """The whole document, as a JSON object."""
    channels = [(path, dialect, "socketio") for path, dialect in namespaces.items()]
    channels += [(path, dialect, "websocket") for path, dialect in sockets.items()]
    tables = [
        (path, dialect, by) for path, dialect, by in channels if isinstance(dialect, Namespace | Frames)
    ]
    return {
        "asyncapi": "3.0.0",
        "info": _info(version),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {dialect.name: _channel(path, dialect, by) for path, dialect, by in tables},
        "operations": {
            name: operation for _, dialect, _ in tables for name, operation in _operations(dialect).items()
        },
        "components": {
            "schemas": {
                name: schema
                for _, dialect, _ in tables
                for name, schema in dialect.vocabulary.schemas.items()
            },
            "securitySchemes": {name: dict(scheme) for name, scheme in SECURITY_SCHEMES.items()},
        },
    }


def key(name: str) -> str:
    """A name as a key of the document: without what would have to be escaped in a reference."""
    return re.sub(r"[^\w.-]", ".", name)


def _info(version: str) -> Document:
    return {
        "title": "Messaging",
        "version": version,
        "description": "One set of conversations behind five protocols: what is sent through one reaches "
        "the listeners of all the others, each in its own shape. `receive` is what the server takes, `send` "
        "what it tells.",
        "license": {"name": "MIT"},
        "tags": [{"name": "messaging"}],
    }


def _servers() -> Document:
    tls = "`wss` where TLS ends in front of it."
    common = [_reference("components/securitySchemes", name) for name in ("query", "bearer", "cookie")]
    return {
        "socketio": {
            **_HOST,
            "pathname": "/socket.io/",
            "protocolVersion": "5",
            "title": "Socket.IO",
            "description": f"Socket.IO protocol 5 over Engine.IO 4, by WebSocket or long polling; {tls}",
            "security": [_reference("components/securitySchemes", "auth"), *common],
        },
        "websocket": {
            **_HOST,
            "title": "WebSocket",
            "description": f"Plain WebSockets with text frames of JSON; {tls}",
            "security": common,
        },
    }


# --- channels ----------------------------------------------------------------------------------------


def _channel(path: str, dialect: Tabular, server: str) -> Document:
    kind = "Socket.IO namespace" if isinstance(dialect, Namespace) else "WebSocket"
    return {
        "address": path,
        "title": f"{kind} {path}",
        "summary": dialect.vocabulary.summary,
        "servers": [_reference("servers", server)],
        "messages": _messages(dialect),
        "bindings": {"ws": _binding(dialect)},
    }


def _binding(dialect: Tabular) -> Document:
    """What may stand in the URL that a connection is opened by."""
    query: Document = {"token": TEXT | {"description": "A JSON Web Token, where no other way is open."}}
    if isinstance(dialect, Namespace):
        query["EIO"] = {"type": "string", "const": "4"}
        query["transport"] = {"type": "string", "enum": ["websocket", "polling"]}
    properties = query | dict(dialect.vocabulary.query)
    return {
        "method": "GET",
        "query": {"type": "object", "properties": properties},
        "bindingVersion": "0.1.0",
    }


def _messages(dialect: Tabular) -> Document:
    messages = {
        f"command.{key(name)}": _message(name, row.summary, *_frame(dialect, name, row))
        for name, row in _asked(dialect).items()
    }
    for told in dialect.vocabulary.events:
        messages[f"event.{key(told.name)}"] = _message(told.name, told.summary, told.schema, told.example)
    if isinstance(dialect, Namespace):
        messages |= {f"ack.{key(name)}": _ack(dialect, row) for name, row in dialect.rows.items()}
        messages["refused"] = _refusal()
    return messages


def _asked(dialect: Tabular) -> Mapping[str, Any]:
    """What clients may send: commands, and what is none by itself."""
    return {**dialect.rows, **{asked.name: asked for asked in dialect.vocabulary.besides}}


def _frame(dialect: Tabular, name: str, row: Any) -> tuple[Document, Payload]:
    said = dialect.vocabulary
    return said.framed(name, form(row.form)), said.example(name, row.example)


def _message(name: str, summary: str, schema: Document, example: Payload) -> Document:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "payload": schema,
        "examples": [{"payload": example}],
    }


def _ack(dialect: Namespace, row: AckedRow[Any]) -> Document:
    """The ack of a command that was carried out."""
    schema = shape(**({"success": SUCCESS, "message": TEXT} | row.has))
    sampler = _Sampler(dialect.vocabulary)
    has = {name: sampler.of(inner) for name, inner in row.has.items()}
    example = {"success": True, "message": row.says, **has}
    return _message(f"{row.name} ack", "It was carried out.", schema, example)


def _refusal() -> Document:
    schema = shape(**({"success": {"type": "boolean", "const": False}} | ERROR["properties"]))
    return _message("refused", "It was refused; an `error` event says the same.", schema, _REFUSED)


class _Sampler:
    """Makes values that fit schemas; of what an event's example shows already, that."""

    def __init__(self, said: Vocabulary) -> None:
        self._schemas = said.schemas
        self._shown: dict[str, Any] = {}
        for told in said.events:
            parts: list[tuple[Document, Any]] = [(told.schema, told.example)]
            parts += [(inner, told.example.get(name)) for name, inner in _properties(told.schema).items()]
            self._shown |= {schema["$ref"]: shown for schema, shown in parts if "$ref" in schema and shown}

    def of(self, schema: Document) -> Any:
        """The shortest value that tells something."""
        if (place := schema.get("$ref")) is not None:
            return self._shown.get(place) or self.of(self._schemas[place.rpartition("/")[2]])
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if schema.get("format") == "date-time":
            return AT
        kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
        if kind == "object":
            required = schema.get("required", [])
            return {name: self.of(_properties(schema)[name]) for name in required}
        if kind == "array":
            return [self.of(schema["items"])]
        return _PLAIN[kind]


_PLAIN: Mapping[str, Any] = {"integer": 1, "number": 1, "string": "1", "boolean": False}


def _properties(schema: Document) -> Document:
    found: Document = schema.get("properties", {})
    return found


# --- operations --------------------------------------------------------------------------------------


def _operations(dialect: Tabular) -> Document:
    channel = dialect.name
    found = {
        f"{channel}.receive.{key(name)}": {
            "action": "receive",
            "title": name,
            "summary": row.summary,
            "channel": _reference("channels", channel),
            "messages": [_named(channel, "command", name)],
            "reply": _reply(dialect, row),
        }
        for name, row in _asked(dialect).items()
    }
    return found | {
        f"{channel}.send.{key(told.name)}": _send(channel, told) for told in dialect.vocabulary.events
    }


def _send(channel: str, told: Told) -> Document:
    return {
        "action": "send",
        "title": told.name,
        "summary": told.summary,
        "channel": _reference("channels", channel),
        "messages": [_named(channel, "event", told.name)],
    }


def _reply(dialect: Tabular, row: Any) -> Document:
    channel = dialect.name
    if isinstance(row, AckedRow):
        messages = [_named(channel, "ack", row.name), _reference(f"channels/{channel}/messages", "refused")]
    else:
        names = [*getattr(row, "answers", ()), "error"]
        there = {told.name for told in dialect.vocabulary.events}
        messages = [_named(channel, "event", name) for name in names if name in there]
    return {"channel": _reference("channels", channel), "messages": messages}


def _named(channel: str, kind: str, name: str) -> Document:
    return _reference(f"channels/{channel}/messages", f"{kind}.{key(name)}")


def _reference(where: str, name: str) -> Document:
    return {"$ref": f"#/{where}/{name}"}
