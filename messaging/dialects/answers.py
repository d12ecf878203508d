"""What goes out in camelCase with ids as strings, as JSON Schemas: for documents, and for tests that hold
shapes.py to them."""

from __future__ import annotations

from typing import Any

from messaging.dialects.shapes import MAX_SHOWN_REACTORS
from messaging.domain.errors import Code
from messaging.domain.models import Author, ContentType, Kind, Role, Status

Document = dict[str, Any]

TEXT: Document = {"type": "string"}
NUMBER: Document = {"type": "integer", "minimum": 0}
FLAG: Document = {"type": "boolean"}
TIME: Document = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
CURSOR: Document = {
    "type": ["string", "null"],
    "description": "Asks for the next page; null on the last.",
}
SUCCESS: Document = {"type": "boolean", "const": True}


def reference(name: str) -> Document:
    """A schema of this file, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def items(name: str) -> Document:
    """A list of a schema of this file."""
    return {"type": "array", "items": reference(name)}


def shape(optional: Document | None = None, /, **always: Document) -> Document:
    """An object that always has some keys and has others where there is something to say."""
    return {"type": "object", "required": list(always), "properties": always | (optional or {})}


def words(enumeration: Any) -> Document:
    """One of the values of an enumeration."""
    return {"type": "string", "enum": [word.value for word in enumeration]}


_NAMES = dict.fromkeys(("firstName", "lastName", "salonName", "name", "username", "image"), TEXT)
_MINE = {"memberRole": words(Role), "unread": NUMBER}
_MINE |= dict.fromkeys(("markedUnread", "archived", "muted"), FLAG)

SCHEMAS: dict[str, Document] = {
    "Person": shape(_NAMES, id=TEXT, role=TEXT),
    "Member": shape(_NAMES, id=TEXT, role=TEXT, memberRole=words(Role)),
    "User": shape(_NAMES | {"email": TEXT}, id=TEXT, role=TEXT),
    "Attachment": shape(
        {"mimeType": TEXT, "duration": {"type": "number", "minimum": 0}},
        id=TEXT,
        url=TEXT,
        fileName=TEXT,
        fileSize=NUMBER,
    ),
    "Reaction": shape(
        emoji=TEXT,
        count=NUMBER,
        userIds={"type": "array", "items": TEXT, "maxItems": MAX_SHOWN_REACTORS},
    ),
    "Receipt": shape(userId=TEXT, delivered=FLAG, read=FLAG),
    "Edit": shape(content=TEXT, editedBy=TEXT, editedAt=TIME),
    "Message": shape(
        {"readAt": TIME, "editedAt": TIME, "deletedAt": TIME, "replyTo": TEXT, "clientMessageId": TEXT},
        id=TEXT,
        conversationId=TEXT,
        seq=NUMBER,
        content=TEXT,
        senderId=TEXT,
        type=words(Author),
        contentType=words(ContentType),
        isRead=FLAG,
        createdAt=TIME,
        attachments=items("Attachment"),
        reactions=items("Reaction"),
        sender=reference("Person"),
    ),
    "Conversation": shape(
        {
            "name": TEXT,
            "retentionDays": NUMBER,
            "lastMessage": reference("Message"),
            "members": items("Member"),
            **_MINE,
        },
        id=TEXT,
        kind=words(Kind),
        private=FLAG,
        createdAt=TIME,
        updatedAt=TIME,
        lastSeq=NUMBER,
        memberCount=NUMBER,
    ),
    "Notification": shape(
        {"title": TEXT, "body": TEXT, "readAt": TIME},
        id=TEXT,
        type=TEXT,
        data={"type": "object"},
        createdAt=TIME,
    ),
    "Status": shape(
        userId=TEXT,
        status=words(Status),
        online=FLAG,
        lastSeen=TIME | {"type": ["string", "null"]},
    ),
    "Connection": shape(
        {"device": TEXT},
        id=TEXT,
        userId=TEXT,
        process=TEXT,
        dialect=TEXT,
        address=TEXT,
        connectedAt=TIME,
    ),
    "Process": shape(
        id=TEXT,
        startedAt=TIME,
        users=NUMBER,
        connections={"type": "object", "additionalProperties": NUMBER, "description": "By dialect."},
    ),
    "Error": shape(error=shape(code=words(Code), message=TEXT, details={"type": "object"})),
}
