"""What clients of `/ws/chat` send, as forms, and the commands that these become."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from messaging.dialects.attachments import MAX_MIME_CHARACTERS, Url, file_name
from messaging.dialects.fields import (
    Choice,
    EmojiText,
    Field,
    Flag,
    Limit,
    Many,
    MessageId,
    Seconds,
    Text,
    UserId,
    Whole,
)
from messaging.dialects.snake import OneMessage, RoomId, SnakeSchema, Words
from messaging.domain.commands import Command, JoinConversation, MarkRead, SendMessage, SetReaction, SetTyping
from messaging.domain.emoji import is_emoji
from messaging.domain.errors import InvalidFormat
from messaging.domain.models import Attachment, ContentType

BATCH = "message_batch"
MAX_BATCHED = 100


class MessageType(StrEnum):
    """What clients may call a message; `system` is not theirs to say."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    FILE = "file"
    REACTION = "reaction"


# --- forms -------------------------------------------------------------------------------------------


class InRoom(SnakeSchema):
    """What is done in a room and says no more."""

    conversation_id = RoomId(required=True, data_key="room")


class Join(InRoom):
    """Joining, with all that was missed where the client says what it had."""

    after = Whole()


class Said(Words):
    """A message, without where it goes."""

    message_type = Choice(MessageType)
    media_url = Url()
    media_type = Text(MAX_MIME_CHARACTERS)
    duration = Seconds()
    reply_to = MessageId()


class RoomMessage(Said, InRoom):
    """A message to a room."""


class DirectMessage(Said):
    """A message to a user."""

    to_user = UserId(required=True, data_key="to_user_id")


class ReactionBack(OneMessage):
    """One's own emoji on a message, to be taken back."""

    emoji = EmojiText(required=True, data_key="content")


class Page(SnakeSchema):
    """Which part of a history, counted back from its end."""

    limit = Limit()
    offset = Whole()


class RoomHistory(Page, InRoom):
    """A page of a room."""


class DmHistory(Page):
    """A page of the messages with a user."""

    with_user = UserId(required=True)


class Typing(SnakeSchema):
    """Whether the user is typing, in a room or to a user."""

    conversation_id = RoomId(data_key="room")
    to_user = UserId(data_key="to_user_id")
    active = Flag(required=True, data_key="is_typing")


class InnerFrame(Field[object]):
    """A frame in a batch. Each is looked at by itself, so that one mistake does not hold up the others."""

    document: Mapping[str, Any] = {"type": "object", "required": ["type"]}

    def read(self, value: object) -> object:
        """As it is."""
        return value


class Batch(SnakeSchema):
    """Many frames in one."""

    messages = Many(InnerFrame(), at_most=MAX_BATCHED, required=True)


# --- commands ----------------------------------------------------------------------------------------


def join(after: int | None = None, **arguments: Any) -> Command:
    """To join; without `after` there is no history, which is asked for with a command of its own."""
    return JoinConversation(after=after, limit=0, **arguments)


def send(
    message_type: MessageType = MessageType.TEXT,
    media_url: str | None = None,
    media_type: str | None = None,
    duration: float | None = None,
    **arguments: Any,
) -> Command:
    """To send, with the file that the message names, if any; or to react to another message."""
    if message_type is MessageType.REACTION:
        return _react(**arguments)
    files: tuple[Attachment, ...] = ()
    if media_url is not None:
        name = file_name(media_url)
        files = (Attachment(id="0", url=media_url, file_name=name, mime_type=media_type, duration=duration),)
    return SendMessage(content_type=ContentType(message_type.value), attachments=files, **arguments)


def _react(
    content: str = "",
    reply_to: int | None = None,
    client_message_id: str | None = None,
    **place: Any,
) -> Command:
    del client_message_id  # a reaction is there once, however often it is sent
    if reply_to is None:
        raise InvalidFormat("A reaction needs reply_to, the message that it is about.", field="reply_to")
    if not is_emoji(content):
        raise InvalidFormat("A reaction is one emoji.", field="content")
    return SetReaction(message_id=reply_to, emoji=content, present=True, **place)


def typing(*, conversation_id: str | None, to_user: str | None = None, active: bool) -> Command:
    """To show that the user types, at one place."""
    if (conversation_id is None) == (to_user is None):
        raise InvalidFormat("Give one of room and to_user_id.")
    return SetTyping(conversation_id=conversation_id, to_user=to_user, active=active)


def mark(message_id: int) -> Command:
    """To have read a message and all before it."""
    return MarkRead(message_ids=(message_id,))
