"""What the snake_case dialects (the plain WebSockets) share: the forms that they read and the parts of
messages that they show alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from messaging.dialects import shapes
from messaging.dialects.base import Payload
from messaging.dialects.fields import ClientMessageId, Content, ConversationId, MessageId, Text
from messaging.dialects.forms import Schema
from messaging.domain.commands import Command
from messaging.domain.errors import ClientError, RoomNotFound
from messaging.domain.ids import direct_members
from messaging.domain.models import Attachment, Conversation, Message, Notification, Reaction
from messaging.domain.replies import Authenticated

Shown = Callable[[str], str | int]
"""How a dialect writes the id of a user: `ids.numeric`, or `str`."""

# --- what comes in -----------------------------------------------------------------------------------


class RoomId(ConversationId):
    """A room or group. The id of a direct conversation is understood, and refused by `in_room`."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "minLength": 1,
        "description": "The name of a room, or the id of a group.",
    }


class SnakeSchema(Schema):
    """A form whose keys are called as its attributes, unless a field says otherwise; refusals repeat what
    was named under the same key."""

    def __init__(self) -> None:
        super().__init__()
        self.names = tuple(
            (name, field.data_key or name, field.names) for name, field in self.parts.items() if field.names
        )

    @staticmethod
    def spelling(attribute: str) -> str:
        """As it is."""
        return attribute


class Nothing(SnakeSchema):
    """A command that needs nothing to be said."""


class Words(SnakeSchema):
    """What a message says, without where it goes."""

    content = Content()
    client_message_id = ClientMessageId()


class OneMessage(SnakeSchema):
    """What is done with a message and says no more."""

    message_id = MessageId(required=True)


class Edit(OneMessage):
    """What a message is to say instead."""

    content = Content(required=True)


class Token(SnakeSchema):
    """A new token."""

    token = Text(None, required=True)


def in_room(
    make: Callable[..., Command], otherwise: type[ClientError] = RoomNotFound
) -> Callable[..., Command]:
    """The same command, for which a direct conversation's id names no room."""

    def command(*, conversation_id: str | None = None, **others: Any) -> Command:
        if conversation_id is not None and direct_members(conversation_id) is not None:
            raise otherwise
        return make(conversation_id=conversation_id, **others)

    return command


# --- what goes out -----------------------------------------------------------------------------------


def extras(message: Message, number: Callable[[int], int | str] = int) -> Payload:
    """What only some messages have, as all of these dialects show it; `number` writes a message's id."""
    shown: Payload = {}
    if message.reply_to is not None:
        shown["reply_to"] = number(message.reply_to)
    if message.client_message_id is not None:
        shown["client_message_id"] = message.client_message_id
    if message.edited_at is not None:
        shown["edited_at"] = shapes.time(message.edited_at)
    if message.deleted_at is not None:
        shown["deleted_at"] = shapes.time(message.deleted_at)
    if message.attachments:
        shown["attachments"] = [attachment(file) for file in message.attachments]
        shown |= media(message.attachments[0])
    return shown


def media(first: Attachment) -> Payload:
    """The first attachment of a message, as a part of the message itself."""
    shown: Payload = {"media_url": first.url}
    if first.mime_type is not None:
        shown["media_type"] = first.mime_type
    if first.duration is not None:
        shown["duration"] = first.duration
    return shown


def attachment(file: Attachment) -> Payload:
    """A file; id, name and size are always there."""
    shown: Payload = {
        "id": file.id,
        "url": file.url,
        "file_name": file.file_name,
        "file_size": file.file_size,
    }
    if file.mime_type is not None:
        shown["mime_type"] = file.mime_type
    if file.duration is not None:
        shown["duration"] = file.duration
    return shown


def reactions(put: Iterable[Reaction], shown: Shown) -> list[Payload]:
    """Who put which emoji; of many the first, and the count of all."""
    return [
        {
            "emoji": reaction.emoji,
            "count": reaction.count,
            "user_ids": [shown(user_id) for user_id in reaction.user_ids[: shapes.MAX_SHOWN_REACTORS]],
        }
        for reaction in put
    ]


def notification(told: Notification) -> Payload:
    """Something that the user is told besides messages."""
    shown: Payload = {
        "id": told.id,
        "type": told.type,
        "data": json.loads(told.data),
        "created_at": shapes.time(told.created_at),
    }
    if told.title is not None:
        shown["title"] = told.title
    if told.body is not None:
        shown["body"] = told.body
    return shown


def token_end(reply: Authenticated) -> Payload:
    """When the token ends; null for one without an end."""
    ends = reply.identity.expires_at
    return {"expires_at": shapes.time(ends) if ends else None}


def partner(conversation: Conversation, user_id: str | None) -> str | None:
    """The other user of a direct conversation; None in others, and for somebody who is not one of the two."""
    pair = conversation.direct_members
    if pair is None or user_id not in pair:
        return None
    return pair[1] if user_id == pair[0] else pair[0]
