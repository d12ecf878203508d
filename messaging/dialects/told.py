"""What documents need to know of a dialect besides its commands: every frame that it sends, as a JSON
Schema with an example, and what a connection may ask for in its URL.

The conformance tests hold what is rendered to these tables, so they cannot say less than what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from messaging.dialects.answers import NUMBER, TEXT, TIME, Document, shape, words
from messaging.dialects.base import Payload
from messaging.dialects.forms import Schema
from messaging.dialects.shapes import MAX_SHOWN_REACTORS
from messaging.domain.errors import Code

ID: Document = {"type": ["integer", "string"], "description": "A number where the id is one."}
MESSAGE_ID: Document = {"type": "integer", "minimum": 1}
OBJECT: Document = {"type": "object"}
AT = "2026-11-20T09:30:00.120Z"
"""The time of all examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One frame that a dialect sends."""

    name: str
    """The Socket.IO event, or the frame's `type`."""
    summary: str
    schema: Document
    """Of the whole frame, envelope included."""
    example: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One frame that a dialect takes although it is no command by itself."""

    name: str
    summary: str
    form: Schema
    example: Payload


def _as_it_is(_name: str, body: Document) -> Document:
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a dialect says, for documents."""

    summary: str = ""
    events: tuple[Told, ...] = ()
    schemas: Mapping[str, Document] = field(default_factory=dict)
    """What the events refer to, by name; one name means the same in all dialects."""
    besides: tuple[Asked, ...] = ()
    query: Mapping[str, Document] = field(default_factory=dict)
    """What a connection may ask for in its URL, besides to be let in."""
    framed: Callable[[str, Document], Document] = _as_it_is
    """The schema of a command's whole frame, from its name and its form's."""
    example: Callable[[str, Payload], Payload] = _as_it_is
    """A command's whole frame, from its name and its row's example."""


def form(schema: Schema) -> Document:
    """What a form takes, as a JSON Schema."""
    parts = {str(part.data_key): part for part in schema.parts.values()}
    described: Document = {
        "type": "object",
        "properties": {key: dict(part.document) for key, part in parts.items()},
    }
    required = [key for key, part in parts.items() if part.required]
    return described | ({"required": required} if required else {})


def constant(word: str) -> Document:
    """One word and no other."""
    return {"type": "string", "const": word}


def listed(item: Document, at_most: int | None = None) -> Document:
    """A list of one kind of value."""
    return {"type": "array", "items": item} | ({} if at_most is None else {"maxItems": at_most})


# --- what several dialects tell alike ----------------------------------------------------------------

ERROR = shape(message=TEXT, code=words(Code), details=OBJECT)
ERROR_EXAMPLE: Payload = {"message": "There is no such room.", "code": "ROOM_NOT_FOUND", "details": {}}


def notification(shown: Document) -> Document:
    """A notification in camelCase, whose id is shown so."""
    return shape({"title": TEXT, "body": TEXT}, id=shown, type=TEXT, data=OBJECT, createdAt=TIME)


NOTIFICATION_EXAMPLE: Payload = {"id": "7", "type": "booking", "title": "Tomorrow at ten", "data": {}}
TOKEN_END: Document = TIME | {"type": ["string", "null"], "description": "null: it does not end."}
SUMMARIES = {
    "error": "A command was refused, or the connection is about to end.",
    "notification": "Something that the user is told besides messages.",
    "pong": "The answer to a ping.",
}


def snake_reaction(user: Document) -> Document:
    """An emoji, and who put it; of many the first."""
    return shape(emoji=TEXT, count=NUMBER, user_ids=listed(user, MAX_SHOWN_REACTORS))


SNAKE_ATTACHMENT = shape(
    {"mime_type": TEXT, "duration": {"type": "number", "minimum": 0}},
    id=TEXT,
    url=TEXT,
    file_name=TEXT,
    file_size=NUMBER,
)


def snake_extras(message_id: Document) -> Document:
    """The properties that only some messages have, in snake_case."""
    return {
        "reply_to": message_id,
        "client_message_id": TEXT,
        "edited_at": TIME,
        "deleted_at": TIME,
        "attachments": listed({"$ref": "#/components/schemas/File"}),
        "media_url": TEXT,
        "media_type": TEXT,
        "duration": {"type": "number", "minimum": 0},
    }


SNAKE_NOTIFICATION = {"title": TEXT, "body": TEXT}, {"id": TEXT, "data": OBJECT, "created_at": TIME}
"""Its properties, those that it may have and those that it always has, but for its type."""
