"""What clients of the camelCase dialects (`messaging`, `chat`, REST) send, as forms."""

from __future__ import annotations

from messaging.dialects.attachments import Attachments
from messaging.dialects.fields import (
    MAX_CURSOR_CHARACTERS,
    Choice,
    ClientMessageId,
    Content,
    ConversationId,
    EmojiText,
    Flag,
    Limit,
    MessageId,
    Text,
    Whole,
)
from messaging.dialects.forms import Schema
from messaging.domain.commands import DEFAULT_FOUND
from messaging.domain.models import Status

MAX_QUERY_CHARACTERS = 1_000


class InConversation(Schema):
    """What is done in a conversation and says no more."""

    conversation_id = ConversationId(required=True)


class Join(InConversation):
    """Joining, with the newest messages or all that was missed."""

    limit = Limit()
    after = Whole()


class Page(Schema):
    """Which part of a history: before or after a seq, both exclusive."""

    before = Whole()
    after = Whole()
    limit = Limit()


class History(Page, InConversation):
    """A page of a conversation."""


class Search(Schema):
    """What is looked for, and where."""

    query = Text(MAX_QUERY_CHARACTERS, required=True)
    conversation_id = ConversationId()
    limit = Limit(DEFAULT_FOUND)
    next = Text(MAX_CURSOR_CHARACTERS)


class Words(Schema):
    """A message, without where it goes."""

    content = Content()
    attachments = Attachments()
    reply_to = MessageId()
    client_message_id = ClientMessageId()


class Send(Words, InConversation):
    """A message to a conversation."""


class Typing(InConversation):
    """Whether the user is typing, where one command says both."""

    active = Flag(required=True, data_key="isTyping")


class OneMessage(Schema):
    """What is done with a message and says no more."""

    message_id = MessageId(required=True)


class Edit(OneMessage):
    """What a message is to say instead."""

    content = Content(required=True)


class React(OneMessage):
    """An emoji on a message."""

    emoji = EmojiText(required=True)


class ListPage(Schema):
    """A page of a list that goes on at an opaque place."""

    limit = Limit()
    next = Text(MAX_CURSOR_CHARACTERS)


class Listing(ListPage):
    """A page of the user's conversations."""

    archived = Flag()


class ChooseStatus(Schema):
    """What others are to see."""

    status = Choice(Status, required=True)


class Token(Schema):
    """A new token."""

    token = Text(None, required=True)
