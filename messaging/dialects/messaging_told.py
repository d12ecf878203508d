"""What `/messaging` tells, for documents."""

from __future__ import annotations

from messaging.dialects.answers import FLAG, NUMBER, SCHEMAS, TEXT, TIME, items, reference, shape, words
from messaging.dialects.base import Payload
from messaging.dialects.told import (
    AT,
    ERROR,
    ERROR_EXAMPLE,
    NOTIFICATION_EXAMPLE,
    SUMMARIES,
    Told,
    Vocabulary,
    notification,
)
from messaging.domain.models import Status

HISTORY_ACK = {"messages": items("Message"), "hasMore": FLAG}

_MESSAGE: Payload = {
    "id": "7213650241",
    "conversationId": "1",
    "seq": 42,
    "content": "Bonjour!",
    "senderId": "alice",
    "type": "USER",
    "contentType": "text",
    "isRead": False,
    "createdAt": AT,
    "attachments": [],
    "reactions": [],
    "sender": {"id": "alice", "name": "Alice", "role": "user"},
    "clientMessageId": "draft-1",
}
_PRESENCE = shape({"lastSeen": TIME}, userId=TEXT, status=words(Status))
_UNREAD = {"conversationId": TEXT, "unread": NUMBER}

EVENTS = (
    Told(
        name="new-message",
        summary="A message was stored in a conversation that this connection joined.",
        schema=reference("Message"),
        example=_MESSAGE,
    ),
    Told(
        name="message-edited",
        summary="A message says something else.",
        schema=reference("Message"),
        example=_MESSAGE | {"content": "Bonsoir!", "editedAt": AT},
    ),
    Told(
        name="message-deleted",
        summary="A message says nothing any more; its place stays.",
        schema=shape(messageId=TEXT, conversationId=TEXT, seq=NUMBER, deletedAt=TIME),
        example={"messageId": "7213650241", "conversationId": "1", "seq": 42, "deletedAt": AT},
    ),
    Told(
        name="reaction-updated",
        summary="Somebody put an emoji on a message, or took it back; all reactions of the message.",
        schema=shape(messageId=TEXT, conversationId=TEXT, reactions=items("Reaction")),
        example={
            "messageId": "7213650241",
            "conversationId": "1",
            "reactions": [{"emoji": "👍", "count": 1, "userIds": ["bob"]}],
        },
    ),
    Told(
        name="conversation-history",
        summary="What came before, to who is joining; in several parts where much was missed.",
        schema=shape(conversationId=TEXT, messages=items("Message"), hasMore=FLAG, lastSeq=NUMBER),
        example={"conversationId": "1", "messages": [_MESSAGE], "hasMore": False, "lastSeq": 42},
    ),
    Told(
        name="user-typing",
        summary="Somebody else types.",
        schema=shape(conversationId=TEXT, userId=TEXT, userName=TEXT),
        example={"conversationId": "1", "userId": "alice", "userName": "Alice"},
    ),
    Told(
        name="user-stopped-typing",
        summary="Somebody else stopped typing.",
        schema=shape(conversationId=TEXT, userId=TEXT),
        example={"conversationId": "1", "userId": "alice"},
    ),
    Told(
        name="message-read",
        summary="Somebody read a message that is not theirs.",
        schema=shape(messageId=TEXT, readAt=TIME, conversationId=TEXT, userId=TEXT, seq=NUMBER),
        example={
            "messageId": "7213650241",
            "readAt": AT,
            "conversationId": "1",
            "userId": "bob",
            "seq": 42,
        },
    ),
    Told(
        name="message-delivered",
        summary="A message of yours has reached somebody, with all before it.",
        schema=shape(messageId=TEXT, deliveredAt=TIME, conversationId=TEXT, userId=TEXT, seq=NUMBER),
        example={
            "messageId": "7213650241",
            "deliveredAt": AT,
            "conversationId": "1",
            "userId": "bob",
            "seq": 42,
        },
    ),
    Told(
        name="unread-count-updated",
        summary="The user's unread counts: on connecting, and on every change.",
        schema=shape(_UNREAD, totalUnread=NUMBER),
        example={"totalUnread": 3, "conversationId": "1", "unread": 2},
    ),
    Told(
        name="conversation-updated",
        summary="A conversation changed; `removed`: the user is no longer a member; `deletedAt`: it is gone.",
        schema={
            "oneOf": [
                reference("Conversation"),
                shape(id=TEXT, removed={"type": "boolean", "const": True}),
                shape(id=TEXT, deletedAt=TIME),
            ]
        },
        example={"id": "1", "removed": True},
    ),
    Told(
        name="user-online",
        summary="A contact came online, or goes on as `away` or `busy`.",
        schema=_PRESENCE,
        example={"userId": "bob", "status": "online"},
    ),
    Told(
        name="user-offline",
        summary="A contact went offline.",
        schema=_PRESENCE,
        example={"userId": "bob", "status": "offline", "lastSeen": AT},
    ),
    Told(
        name="notification",
        summary=SUMMARIES["notification"],
        schema=notification(TEXT),
        example=NOTIFICATION_EXAMPLE | {"createdAt": AT},
    ),
    Told(name="error", summary=SUMMARIES["error"], schema=ERROR, example=ERROR_EXAMPLE),
)

VOCABULARY = Vocabulary(
    summary="Full profiles, conversations and unread counts; ids as strings.",
    events=EVENTS,
    schemas={name: SCHEMAS[name] for name in ("Person", "Member", "Attachment", "Reaction")}
    | {name: SCHEMAS[name] for name in ("Message", "Conversation")},
)
