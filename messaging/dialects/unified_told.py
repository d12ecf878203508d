"""What `/ws` tells, for documents."""

from __future__ import annotations

from messaging.dialects.answers import FLAG, NUMBER, TEXT, TIME, Document, reference, shape, words
from messaging.dialects.base import Payload
from messaging.dialects.told import (
    AT,
    ERROR,
    ERROR_EXAMPLE,
    ID,
    MESSAGE_ID,
    OBJECT,
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
from messaging.domain.models import ContentType, Kind, Role, Status

_SECOND = 1_795_167_000
_NOBODY: Document = ID | {"type": ["integer", "string", "null"]}
_META = shape(
    timestamp={"type": "integer", "description": "Unix time in seconds."},
    sender_id=_NOBODY | {"description": "null: the server."},
    target_id=_NOBODY | {"description": "A user, or a group."},
    client_id={"type": ["string", "null"], "description": "The device that it came from."},
)
_TARGET = "target_id"


def _framed(name: str, body: Document) -> Document:
    """A command's frame: whom it is for stands in `meta`."""
    properties, required = dict(body["properties"]), [*body.get("required", [])]
    target = properties.pop(_TARGET, None)
    inner = {"type": "object", "properties": properties}
    if left := [key for key in required if key != _TARGET]:
        inner["required"] = left
    whole = shape(type=constant(name), payload=inner)
    if target is not None:
        meta: Document = {"type": "object", "properties": {_TARGET: target}}
        whole["properties"]["meta"] = meta
        if _TARGET in required:
            meta["required"] = [_TARGET]
            whole["required"].append("meta")
    return whole


def _example(name: str, body: Payload) -> Payload:
    inner = {key: value for key, value in body.items() if key != _TARGET}
    meta = {"meta": {_TARGET: body[_TARGET]}} if _TARGET in body else {}
    return {"type": name, "payload": inner, **meta}


def _told(name: str, summary: str, payload: Document, example: Payload, **meta: object) -> Told:
    nobody = {"sender_id": None, "target_id": None, "client_id": None}
    return Told(
        name=name,
        summary=summary,
        schema=shape(type=constant(name), payload=payload, meta=reference("UnifiedMeta")),
        example={"type": name, "payload": example, "meta": {"timestamp": _SECOND, **nobody, **meta}},
    )


_WORDS: Document = {
    "message_id": MESSAGE_ID,
    "conversation_id": ID,
    "seq": NUMBER,
    "content": TEXT,
    "content_type": words(ContentType),
    "attachments": listed(reference("File")),
    "created_at": TIME,
}
_WHICH: Document = {"message_id": MESSAGE_ID, "conversation_id": ID, "seq": NUMBER}
_EXTRAS = snake_extras(MESSAGE_ID)
_NAMES = dict.fromkeys(("first_name", "last_name", "salon_name", "name", "username", "image"), TEXT)

_SCHEMAS = {
    "File": SNAKE_ATTACHMENT,
    "UnifiedMeta": _META,
    "UnifiedMessage": shape(_EXTRAS, **_WORDS),
    "UnifiedGroupMessage": shape(_EXTRAS, **_WORDS, group_id=ID),
    "UnifiedLastMessage": shape(_EXTRAS, **_WORDS, sender_id=ID),
    "UnifiedMember": shape(_NAMES, user_id=ID, member_role=words(Role)),
    "UnifiedGroup": shape(
        {
            "name": TEXT,
            "last_message": reference("UnifiedLastMessage"),
            "members": listed(reference("UnifiedMember")),
        },
        group_id=ID,
        kind=words(Kind),
        private=FLAG,
        created_at=TIME,
        updated_at=TIME,
        last_seq=NUMBER,
        member_count=NUMBER,
    ),
}

_SAID: Payload = {
    "message_id": 7213650241,
    "conversation_id": "dm:1:2",
    "seq": 42,
    "content": "Bonjour!",
    "content_type": "text",
    "attachments": [],
    "created_at": AT,
    "client_message_id": "draft-1",
}

EVENTS = (
    _told(
        "chat_message",
        "A message between two: live, missed, or sent again.",
        reference("UnifiedMessage"),
        _SAID,
        sender_id=1,
        target_id=2,
        client_id="phone",
    ),
    _told(
        "group_message",
        "A message to a group: live, missed, or sent again.",
        reference("UnifiedGroupMessage"),
        _SAID | {"conversation_id": 12, "group_id": 12},
        sender_id=1,
        target_id=12,
        client_id="phone",
    ),
    _told(
        "typing_indicator",
        "Somebody else types, or stopped.",
        shape({"group_id": ID}, conversation_id=ID, is_typing=FLAG),
        {"conversation_id": 12, "group_id": 12, "is_typing": True},
        sender_id=1,
        target_id=12,
    ),
    _told(
        "read_receipt",
        "`meta.sender_id` read a message that is not theirs.",
        shape(message_id=MESSAGE_ID, conversation_id=ID, read_at=TIME),
        {"message_id": 7213650241, "conversation_id": "dm:1:2", "read_at": AT},
        sender_id=2,
        target_id=1,
    ),
    _told(
        "message_edited",
        "A message says something else; `meta.sender_id` edited it.",
        shape(_EXTRAS | {"group_id": ID}, **_WORDS),
        _SAID | {"content": "Bonsoir!", "edited_at": AT},
        sender_id=1,
        target_id=2,
    ),
    _told(
        "message_deleted",
        "A message says nothing any more; its place stays. `meta.sender_id` deleted it.",
        shape({"group_id": ID}, **_WHICH, deleted_at=TIME),
        {"message_id": 7213650241, "conversation_id": "dm:1:2", "seq": 42, "deleted_at": AT},
        sender_id=1,
        target_id=2,
    ),
    _told(
        "message_reaction",
        "`meta.sender_id` put an emoji on a message, or took it back (not `added`); all of its reactions.",
        shape({"group_id": ID}, **_WHICH, emoji=TEXT, added=FLAG, reactions=listed(snake_reaction(ID))),
        {
            "message_id": 7213650241,
            "conversation_id": "dm:1:2",
            "seq": 42,
            "emoji": "👍",
            "added": True,
            "reactions": [{"emoji": "👍", "count": 1, "user_ids": [2]}],
        },
        sender_id=2,
        target_id=1,
    ),
    _told(
        "status_update",
        "A contact's status; on connecting, that of everyone who is not offline.",
        shape({"last_seen": TIME}, user_id=ID, status=words(Status)),
        {"user_id": 2, "status": "away"},
        sender_id=2,
    ),
    _told(
        "notification",
        "Something that the user is told besides messages; `group_invite` lets them join `group_id`.",
        shape(SNAKE_NOTIFICATION[0] | {"group_id": ID}, **(SNAKE_NOTIFICATION[1] | {"id": ID}), type=TEXT),
        {"id": 7, "type": "group_invite", "group_id": 12, "data": {}, "created_at": AT},
        sender_id=2,
        target_id=1,
    ),
    _told(
        "group_updated",
        "A group changed; `removed`: the user is no longer a member; `deleted_at`: it is gone.",
        {
            "oneOf": [
                reference("UnifiedGroup"),
                shape(group_id=ID, removed={"type": "boolean", "const": True}),
                shape(group_id=ID, deleted_at=TIME),
            ]
        },
        {"group_id": 12, "removed": True},
        target_id=12,
    ),
    _told(
        "connection_event",
        "On connecting, the device's name, and then that it has all that it missed; later, the coming and "
        "going of the user's other devices.",
        {
            "oneOf": [
                shape(
                    event={"type": "string", "enum": ["connected", "disconnected"]},
                    client_id=TEXT,
                    user_id=ID,
                ),
                shape(event=constant("synced"), count=NUMBER, more=FLAG),
            ]
        },
        {"event": "synced", "count": 3, "more": False},
    ),
    _told("authenticated", "The new token is good.", shape(expires_at=TOKEN_END), {"expires_at": AT}),
    _told("pong", SUMMARIES["pong"], OBJECT, {}),
    _told("error", SUMMARIES["error"], ERROR, ERROR_EXAMPLE),
)

VOCABULARY = Vocabulary(
    summary="Frames of `{type, payload, meta}`; all of the user's conversations on every device, and what "
    "came while it was away; ids as numbers.",
    events=EVENTS,
    schemas=_SCHEMAS,
    query={
        "client_id": {
            "type": "string",
            "maxLength": 64,
            "description": "The device's name; without it, the server makes one.",
        },
        "after": {
            "type": "integer",
            "minimum": 1,
            "description": "A message's id: tell what came after it, whatever this device had.",
        },
    },
    framed=_framed,
    example=_example,
)
