"""What `/ws/rooms` tells, for documents."""

from __future__ import annotations

from messaging.dialects.answers import FLAG, NUMBER, TEXT, TIME, Document, reference, shape
from messaging.dialects.base import Payload
from messaging.dialects.told import (
    AT,
    ERROR,
    ERROR_EXAMPLE,
    SNAKE_ATTACHMENT,
    SNAKE_NOTIFICATION,
    SUMMARIES,
    TOKEN_END,
    Told,
    Vocabulary,
    constant,
    listed,
    snake_extras,
    snake_reaction,
)


def _framed(name: str, body: Document) -> Document:
    properties = {"type": constant(name), **body.get("properties", {})}
    return body | {"properties": properties, "required": ["type", *body.get("required", [])]}


def _example(name: str, body: Payload) -> Payload:
    return {"type": name, **body}


def _told(name: str, summary: str, body: Document, example: Payload) -> Told:
    return Told(name=name, summary=summary, schema=_framed(name, body), example=_example(name, example))


_ALWAYS: Document = {"id": TEXT, "seq": NUMBER, "from": TEXT, "content": TEXT, "timestamp": TIME}
_EXTRAS = snake_extras(TEXT)
_WHERE: Document = {"room": TEXT, "with": TEXT}
_PAST = shape(_EXTRAS | {"room": TEXT, "to": TEXT, "reactions": listed(snake_reaction(TEXT))}, **_ALWAYS)
_HISTORY: Document = {"messages": listed(reference("RoomsPastMessage")), "has_more": FLAG}
_YO: Payload = {
    "id": "7213650241",
    "seq": 42,
    "room": "general",
    "from": "alice",
    "content": "yo",
    "timestamp": AT,
}
_SALUT: Payload = {
    "id": "7213650242",
    "seq": 7,
    "to": "bob",
    "from": "alice",
    "content": "salut",
    "timestamp": AT,
}

EVENTS = (
    _told(
        "joined",
        "The room is heard from here on; of a public room, who hears it, too.",
        shape(room=TEXT, online=listed(TEXT)),
        {"room": "general", "online": ["alice", "bob"]},
    ),
    _told("left", "The room is heard no longer.", shape(room=TEXT), {"room": "general"}),
    _told("message", "A message to a room.", shape(_EXTRAS, room=TEXT, **_ALWAYS), _YO),
    _told(
        "dm",
        "A message between two, to all of both users' connections.",
        shape(_EXTRAS | {"with": TEXT}, to=TEXT, **_ALWAYS),
        _SALUT,
    ),
    _told(
        "history",
        "A page of a room.",
        shape(room=TEXT, **_HISTORY),
        {"room": "general", "messages": [_YO], "has_more": False},
    ),
    _told(
        "dm_history",
        "A page of the messages with a user.",
        shape(**{"with": TEXT}, **_HISTORY),
        {"with": "bob", "messages": [_SALUT], "has_more": False},
    ),
    _told(
        "message_edited",
        "A message says something else.",
        shape(_EXTRAS | _WHERE | {"to": TEXT}, **_ALWAYS),
        _YO | {"content": "hey", "edited_at": AT},
    ),
    _told(
        "message_deleted",
        "A message says nothing any more; its place stays.",
        shape(_WHERE, id=TEXT, seq=NUMBER, by=TEXT, deleted_at=TIME),
        {"id": "7213650241", "seq": 42, "room": "general", "by": "alice", "deleted_at": AT},
    ),
    _told(
        "reaction",
        "Somebody put an emoji on a message, or took it back (not `added`); all reactions of the message.",
        shape(
            _WHERE,
            **{"id": TEXT, "seq": NUMBER, "from": TEXT, "emoji": TEXT, "added": FLAG},
            reactions=listed(snake_reaction(TEXT)),
        ),
        {
            "id": "7213650241",
            "seq": 42,
            "room": "general",
            "from": "bob",
            "emoji": "👍",
            "added": True,
            "reactions": [{"emoji": "👍", "count": 1, "user_ids": ["bob"]}],
        },
    ),
    _told(
        "status",
        "A contact came online or went offline.",
        shape(user=TEXT, online=FLAG),
        {"user": "bob", "online": True},
    ),
    _told(
        "notification",
        SUMMARIES["notification"],
        shape(SNAKE_NOTIFICATION[0], **SNAKE_NOTIFICATION[1], kind=TEXT),
        {"id": "7", "kind": "booking", "data": {}, "created_at": AT},
    ),
    _told(
        "authenticated",
        "The new token is good.",
        shape(expires_at=TOKEN_END),
        {"expires_at": AT},
    ),
    _told("pong", SUMMARIES["pong"], shape(), {}),
    _told("error", SUMMARIES["error"], ERROR, ERROR_EXAMPLE),
)

VOCABULARY = Vocabulary(
    summary="Flat frames of `{type, …}`; rooms made by joining them, direct messages; ids as strings.",
    events=EVENTS,
    schemas={"File": SNAKE_ATTACHMENT, "RoomsPastMessage": _PAST},
    framed=_framed,
    example=_example,
)
