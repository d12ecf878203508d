"""What `/ws/chat` tells, for documents."""

from __future__ import annotations

from messaging.dialects.answers import FLAG, NUMBER, SUCCESS, TEXT, TIME, Document, reference, shape, words
from messaging.dialects.base import Payload
from messaging.dialects.told import (
    AT,
    ERROR,
    ERROR_EXAMPLE,
    ID,
    MESSAGE_ID,
    SNAKE_ATTACHMENT,
    SNAKE_NOTIFICATION,
    SUMMARIES,
    TOKEN_END,
    Asked,
    Told,
    Vocabulary,
    constant,
    listed,
    snake_extras,
    snake_reaction,
)
from messaging.dialects.ws_chat_forms import BATCH, Batch
from messaging.domain.models import Status


def _framed(name: str, data: Document) -> Document:
    whole = shape(type=constant(name), data=data, timestamp=TIME)
    return whole | {"required": ["type", "data"]}


def _example(name: str, data: Payload) -> Payload:
    return {"type": name, "data": data, "timestamp": AT}


def _told(name: str, summary: str, data: Document, example: Payload) -> Told:
    schema = shape(type=constant(name), data=data, timestamp=TIME)
    return Told(name=name, summary=summary, schema=schema, example=_example(name, example))


_TYPES = {"type": "string", "enum": ["text", "image", "audio", "file", "system", "reaction"]}
_SAID: Document = {"content": TEXT, "message_type": _TYPES, "created_at": TIME}
_EXTRAS = snake_extras(MESSAGE_ID)
_REACTIONS = listed(snake_reaction(ID))
_WHO: Document = {"user_id": ID, "username": TEXT}
_TWO: Document = {"from_user_id": ID, "from_username": TEXT, "to_user_id": ID}
_PLACE: Document = {"room": TEXT, "with_user": ID}
_ACK = shape(room=TEXT, success=SUCCESS, message=TEXT)

_SCHEMAS = {
    "File": SNAKE_ATTACHMENT,
    "WsChatRoomMessage": shape(_EXTRAS, id=MESSAGE_ID, seq=NUMBER, room=TEXT, **_WHO, **_SAID),
    "WsChatDirectMessage": shape(_EXTRAS | _PLACE, id=MESSAGE_ID, seq=NUMBER, **_TWO, **_SAID),
    "WsChatPastMessage": shape(
        _EXTRAS | {"room": TEXT} | _TWO, id=MESSAGE_ID, seq=NUMBER, **_WHO, **_SAID, reactions=_REACTIONS
    ),
}

_SPOKEN: Payload = {
    "content": "Bonjour tout le monde !",
    "message_type": "text",
    "created_at": AT,
}
_ALICE: Payload = {"user_id": 123, "username": "alice"}
_IN_ROOM: Payload = {"id": 7213650241, "seq": 42, "room": "general"} | _ALICE | _SPOKEN
_BETWEEN: Payload = {
    "id": 7213650242,
    "seq": 7,
    "from_user_id": 123,
    "from_username": "alice",
    "to_user_id": 456,
} | _SPOKEN

EVENTS = (
    _told(
        "join_room_ack",
        "The room is heard from here on.",
        _ACK,
        {"room": "general", "success": True, "message": "Joined room successfully"},
    ),
    _told(
        "leave_room_ack",
        "The room is heard no longer.",
        _ACK,
        {"room": "general", "success": True, "message": "Left room successfully"},
    ),
    _told("room_message", "A message to a room.", reference("WsChatRoomMessage"), _IN_ROOM),
    _told(
        "direct_message",
        "A message between two, to all of both users' connections.",
        reference("WsChatDirectMessage"),
        _BETWEEN,
    ),
    _told(
        "message_history",
        "A page of a room, or of the messages with a user.",
        shape(_PLACE, messages=listed(reference("WsChatPastMessage")), total=NUMBER, has_more=FLAG),
        {"room": "general", "messages": [_IN_ROOM | {"reactions": []}], "total": 42, "has_more": True},
    ),
    _told(
        "message_edited",
        "A message says something else; the rest is as in the frame that told it first.",
        shape(_EXTRAS | _PLACE | _WHO | _TWO, message_id=MESSAGE_ID, id=MESSAGE_ID, seq=NUMBER, **_SAID),
        {"message_id": 7213650241} | _IN_ROOM | {"content": "Bonsoir !", "edited_at": AT},
    ),
    _told(
        "message_deleted",
        "A message says nothing any more; its place stays.",
        shape(_PLACE, message_id=MESSAGE_ID, seq=NUMBER, user_id=ID, deleted_at=TIME),
        {"message_id": 7213650241, "seq": 42, "user_id": 123, "deleted_at": AT, "room": "general"},
    ),
    _told(
        "reaction_removed",
        "Somebody took an emoji back. Putting one is told as a message of type `reaction`.",
        shape(_PLACE, message_id=MESSAGE_ID, user_id=ID, content=TEXT),
        {"message_id": 7213650241, "user_id": 456, "content": "👍", "room": "general"},
    ),
    _told(
        "typing",
        "Somebody else types, or stopped.",
        shape(_PLACE, **_WHO, is_typing=FLAG),
        {"room": "general", **_ALICE, "is_typing": True},
    ),
    _told(
        "message_read",
        "Somebody read a message that is not theirs.",
        shape(_PLACE, message_id=MESSAGE_ID, user_id=ID, read_at=TIME),
        {"message_id": 7213650241, "room": "general", "user_id": 456, "read_at": AT},
    ),
    _told(
        "status",
        "A contact's status changed.",
        shape(user_id=ID, status=words(Status)),
        {"user_id": 456, "status": "away"},
    ),
    _told(
        "user_connected",
        "Somebody else's first connection joined a room.",
        shape(**_WHO, room=TEXT),
        _ALICE | {"room": "general"},
    ),
    _told(
        "user_disconnected",
        "Somebody else's last connection left a room.",
        shape(**_WHO, room=TEXT),
        _ALICE | {"room": "general"},
    ),
    _told(
        "notification",
        SUMMARIES["notification"],
        shape(SNAKE_NOTIFICATION[0], **(SNAKE_NOTIFICATION[1] | {"id": ID}), type=TEXT),
        {"id": "7", "type": "booking", "data": {}, "created_at": AT},
    ),
    _told(
        "authenticate_ack",
        "The new token is good.",
        shape(success=SUCCESS, expires_at=TOKEN_END),
        {"success": True, "expires_at": AT},
    ),
    _told("pong", SUMMARIES["pong"], shape(timestamp=TIME), {"timestamp": AT}),
    _told("error", SUMMARIES["error"], ERROR, ERROR_EXAMPLE),
    _told(
        BATCH,
        "Frames of one moment in one, for connections with `?batch=1`.",
        shape(messages=listed({"type": "object", "required": ["type", "data", "timestamp"]})),
        {"messages": [_example("pong", {"timestamp": AT})]},
    ),
)

VOCABULARY = Vocabulary(
    summary="Frames of `{type, data, timestamp}`; rooms to be joined, direct messages; ids as numbers.",
    events=EVENTS,
    schemas=_SCHEMAS,
    besides=(
        Asked(
            name=BATCH,
            summary="Many frames in one, carried out in order, each answered by itself.",
            form=Batch(),
            example={"messages": [{"type": "ping", "data": {}}]},
        ),
    ),
    query={"batch": {"type": "string", "enum": ["1"], "description": "Frames may come in batches."}},
    framed=_framed,
    example=_example,
)
