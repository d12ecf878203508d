"""What `/chat` tells, for documents."""

from __future__ import annotations

from messaging.dialects.answers import FLAG, NUMBER, TEXT, TIME, items, reference, shape, words
from messaging.dialects.base import Payload
from messaging.dialects.shapes import MAX_SHOWN_REACTORS
from messaging.dialects.told import (
    AT,
    ERROR,
    ERROR_EXAMPLE,
    ID,
    MESSAGE_ID,
    NOTIFICATION_EXAMPLE,
    SUMMARIES,
    Told,
    Vocabulary,
    listed,
    notification,
)
from messaging.domain.models import Author, ContentType

MESSAGE = reference("ChatMessage")
MESSAGES = items("ChatMessage")

_MESSAGE: Payload = {
    "id": 7213650241,
    "conversationId": 1,
    "seq": 42,
    "senderId": "alice",
    "content": "Bonjour!",
    "attachments": ["https://example.com/document.pdf"],
    "sentAt": AT,
    "type": "USER",
    "contentType": "text",
    "reactions": [],
    "senderName": "Alice",
}
_SCHEMAS = {
    "ChatReaction": shape(emoji=TEXT, count=NUMBER, userIds=listed(ID, MAX_SHOWN_REACTORS)),
    "ChatMessage": shape(
        {
            "readAt": TIME,
            "editedAt": TIME,
            "deletedAt": TIME,
            "replyTo": MESSAGE_ID,
            "clientMessageId": TEXT,
        },
        id=MESSAGE_ID,
        conversationId=ID,
        seq=NUMBER,
        senderId=ID,
        content=TEXT,
        attachments=listed(TEXT),
        sentAt=TIME,
        type=words(Author),
        contentType=words(ContentType),
        reactions=items("ChatReaction"),
        senderName=TEXT,
    ),
}

EVENTS = (
    Told(
        name="message:new",
        summary="A message was stored in a conversation that this connection joined.",
        schema=shape(message=MESSAGE, timestamp=TIME),
        example={"message": _MESSAGE, "timestamp": AT},
    ),
    Told(
        name="message:edited",
        summary="A message says something else.",
        schema=MESSAGE,
        example=_MESSAGE | {"content": "Bonsoir!", "editedAt": AT},
    ),
    Told(
        name="message:deleted",
        summary="A message says nothing any more; its place stays.",
        schema=shape(messageId=MESSAGE_ID, conversationId=ID, seq=NUMBER, deletedAt=TIME),
        example={"messageId": 7213650241, "conversationId": 1, "seq": 42, "deletedAt": AT},
    ),
    Told(
        name="message:reaction",
        summary="Somebody put an emoji on a message, or took it back; all reactions of the message.",
        schema=shape(messageId=MESSAGE_ID, conversationId=ID, reactions=items("ChatReaction")),
        example={
            "messageId": 7213650241,
            "conversationId": 1,
            "reactions": [{"emoji": "👍", "count": 1, "userIds": ["bob"]}],
        },
    ),
    Told(
        name="user:typing",
        summary="Somebody else types, or stopped.",
        schema=shape(conversationId=ID, userId=ID, isTyping=FLAG),
        example={"conversationId": 1, "userId": "alice", "isTyping": True},
    ),
    Told(
        name="message:read:ack",
        summary="Somebody read a message that is not theirs.",
        schema=shape(messageId=MESSAGE_ID, conversationId=ID, readBy=ID, readAt=TIME),
        example={"messageId": 7213650241, "conversationId": 1, "readBy": "bob", "readAt": AT},
    ),
    Told(
        name="user:online",
        summary="A contact came online.",
        schema=shape(userId=ID),
        example={"userId": "bob"},
    ),
    Told(
        name="user:offline",
        summary="A contact went offline.",
        schema=shape(userId=ID),
        example={"userId": "bob"},
    ),
    Told(
        name="notification",
        summary=SUMMARIES["notification"],
        schema=notification(ID),
        example=NOTIFICATION_EXAMPLE | {"id": 7, "createdAt": AT},
    ),
    Told(name="error", summary=SUMMARIES["error"], schema=ERROR, example=ERROR_EXAMPLE),
)

VOCABULARY = Vocabulary(summary="Small and plain; ids as numbers.", events=EVENTS, schemas=_SCHEMAS)
