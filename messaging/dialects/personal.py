"""What concerns one user alone, over REST: notifications, and what a conversation is to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messaging.dialects import bodies, camel, envelopes, shapes
from messaging.dialects.answers import CURSOR, NUMBER, SUCCESS, items, reference, shape
from messaging.dialects.base import Payload
from messaging.dialects.fields import Field, Flag, JsonObject, Many, Paragraph, Text, UserId
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Route, Who
from messaging.domain.commands import (
    Command,
    ListNotifications,
    MarkNotificationsRead,
    MarkUnread,
    Notify,
    SetArchived,
    SetMuted,
)
from messaging.domain.errors import InvalidFormat
from messaging.domain.replies import (
    ConversationReply,
    NotificationList,
    NotificationReply,
    NotificationsMarked,
)

MAX_DATA_BYTES = 8 * 1024
MAX_BODY_CHARACTERS = 2_000
MAX_TYPE_CHARACTERS = 64
MAX_ID_CHARACTERS = 64
MAX_MARKED = 200


class NotificationId(Field[str]):
    """A notification: a number of the server's, or what a service called it."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": MAX_ID_CHARACTERS,
    }

    def read(self, value: object) -> str:
        """The id as a string."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("must be a string or an integer")
        return Text(MAX_ID_CHARACTERS).read(str(value))


class NewNotification(Schema):
    """What a user is to be told."""

    user_id = UserId(required=True)
    id = NotificationId()
    type = Text(MAX_TYPE_CHARACTERS, required=True)
    title = Text()
    body = Paragraph(MAX_BODY_CHARACTERS)
    data = JsonObject(MAX_DATA_BYTES)


class Notifications(camel.ListPage):
    """A page of notifications."""

    unread = Flag()


class Seen(Schema):
    """Which notifications have been read: some, or all."""

    ids = Many(NotificationId(), at_most=MAX_MARKED, at_least=1)
    everything = Flag(data_key="all")


def _mark(ids: tuple[str, ...] | None = None, everything: bool = False) -> Command:
    if (ids is None) != everything:
        raise InvalidFormat("Give either ids, or all: true.")
    return MarkNotificationsRead(ids=ids)


def _notification(reply: NotificationReply) -> Payload:
    return {"notification": shapes.notification(reply.notification)}


def _is_new_notification(reply: NotificationReply) -> bool:
    return not reply.repeated


def _notifications(reply: NotificationList) -> Payload:
    shown = [shapes.notification(each) for each in reply.notifications]
    return {"notifications": shown, "unread": reply.unread, "next": reply.next}


def _marked(reply: NotificationsMarked) -> Payload:
    return {"success": True, "unread": reply.unread}


def _place(word: str, summary: str, command: Any) -> Route[ConversationReply]:
    """`POST /api/conversations/{id}/<word>`, which needs no body."""
    return Route(
        name=f"{word}Conversation",
        method="POST",
        path=f"/api/conversations/{{id}}/{word}",
        summary=summary,
        command=command,
        reply=ConversationReply,
        shape=envelopes.conversation,
        answer=shape(conversation=reference("Conversation")),
        place=bodies.ThisConversation(),
    )


def _archive(conversation_id: str) -> Command:
    return SetArchived(conversation_id=conversation_id, archived=True)


def _unarchive(conversation_id: str) -> Command:
    return SetArchived(conversation_id=conversation_id, archived=False)


def _mute(conversation_id: str) -> Command:
    return SetMuted(conversation_id=conversation_id, muted=True)


def _unmute(conversation_id: str) -> Command:
    return SetMuted(conversation_id=conversation_id, muted=False)


ROUTES: tuple[Route[Any], ...] = (
    _place(
        "archive", "Put a conversation away, until there is a new message, or while it is muted", _archive
    ),
    _place("unarchive", "Take a conversation back that was put away", _unarchive),
    _place("mute", "Leave a conversation out of totalUnread and of what is pushed", _mute),
    _place("unmute", "Be told of a conversation again", _unmute),
    _place("unread", "Mark a conversation unread, until something is marked read there", MarkUnread),
    Route(
        name="listNotifications",
        method="GET",
        path="/api/notifications",
        summary="Your notifications of the last 90 days, the newest first",
        command=ListNotifications,
        reply=NotificationList,
        shape=_notifications,
        answer=shape(notifications=items("Notification"), unread=NUMBER, next=CURSOR),
        query=Notifications(),
    ),
    Route(
        name="notify",
        method="POST",
        path="/api/notifications",
        who=Who.SERVICE,
        summary="Tell a user something besides messages; under an id of yours once, however often you ask",
        command=Notify,
        reply=NotificationReply,
        shape=_notification,
        made=_is_new_notification,
        makes=True,
        answer=shape(notification=reference("Notification")),
        body=NewNotification(),
        example={"userId": "2", "type": "booking", "title": "Tomorrow at ten", "data": {"booking": 7}},
    ),
    Route(
        name="markNotificationsRead",
        method="POST",
        path="/api/notifications/read",
        summary="Mark some of your notifications read, or all",
        command=_mark,
        reply=NotificationsMarked,
        shape=_marked,
        answer=shape(success=SUCCESS, unread=NUMBER),
        body=Seen(),
        example={"ids": ["123"]},
    ),
)
