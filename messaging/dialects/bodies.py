"""What REST takes and its clients write, as forms: path variables, queries, bodies."""

from __future__ import annotations

from messaging.dialects import camel
from messaging.dialects.attachments import Url
from messaging.dialects.fields import (
    MAX_CURSOR_CHARACTERS,
    Choice,
    ChosenConversationId,
    Content,
    ConversationId,
    Days,
    EmojiText,
    Flag,
    Limit,
    Many,
    MessageId,
    Text,
    UserId,
)
from messaging.dialects.forms import Schema
from messaging.domain.commands import DEFAULT_FOUND
from messaging.domain.models import Author, Kind, Role

MAX_NAMED_MEMBERS = 10_000
MAX_MARKED_MESSAGES = 200
MAX_EMAIL_CHARACTERS = 254


class ThisConversation(Schema):
    """`/conversations/{id}`."""

    conversation_id = ConversationId(required=True, data_key="id")


class ChosenConversation(Schema):
    """`/conversations/{id}`, where the id may be new."""

    conversation_id = ChosenConversationId(required=True, data_key="id")


class ThisMember(ThisConversation):
    """`/conversations/{id}/members/{userId}`."""

    user_id = UserId(required=True)


class ThisMessage(Schema):
    """`/messages/{id}`."""

    message_id = MessageId(required=True, data_key="id")


class ThisReaction(ThisMessage):
    """`/messages/{id}/reactions/{emoji}`."""

    emoji = EmojiText(required=True)


class OtherWords(Schema):
    """What a message is to say instead."""

    content = Content(required=True)


class ThisUser(Schema):
    """`/users/{id}`."""

    user_id = UserId(required=True, data_key="id")


class Partner(Schema):
    """`/messages/user/{id}`."""

    with_user = UserId(required=True, data_key="id")


class SearchMessages(Schema):
    """Looking for messages."""

    query = Text(camel.MAX_QUERY_CHARACTERS, required=True, data_key="q")
    conversation_id = ConversationId()
    limit = Limit(DEFAULT_FOUND)
    next = Text(MAX_CURSOR_CHARACTERS)


class Search(camel.ListPage):
    """Looking for people."""

    query = Text(required=True, data_key="q")


class Connections(camel.ListPage):
    """Which connections."""

    user_id = UserId()


class Disconnection(Schema):
    """Whether a user's tokens are to be refused, too."""

    revoke = Flag()


class NewConversation(Schema):
    """A group or room to be made."""

    kind = Choice((Kind.GROUP, Kind.ROOM), required=True)
    name = Text()
    private = Flag()
    member_ids = Many(UserId(), at_most=MAX_NAMED_MEMBERS)


class PutConversation(Schema):
    """What a conversation of the host application is to be like."""

    kind = Choice((Kind.GROUP, Kind.ROOM))
    name = Text()
    private = Flag()
    retention_days = Days()
    member_ids = Many(UserId(), at_most=MAX_NAMED_MEMBERS)


class ConversationChange(Schema):
    """What is to be different."""

    name = Text()
    private = Flag()
    retention_days = Days()


class Membership(Schema):
    """What a member is to be."""

    role = Choice(Role)


class NewMessage(camel.Words):
    """A message; a service may say whose it is."""

    sender_id = UserId()
    author = Choice(Author, data_key="type")


class Read(Schema):
    """What has been read: exactly one of these."""

    message_id = MessageId()
    message_ids = Many(MessageId(), at_most=MAX_MARKED_MESSAGES, at_least=1)
    conversation_id = ConversationId()


class UserProfile(Schema):
    """What the host application says of a user."""

    username = Text()
    name = Text()
    first_name = Text()
    last_name = Text()
    salon_name = Text()
    image = Url()
    role = Text()
    email = Text(MAX_EMAIL_CHARACTERS)
