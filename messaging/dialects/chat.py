"""The dialect of the Socket.IO namespace `/chat` (docs/protocols.md): numbers as ids, attachments as URLs.

It has no words for unread counts or for changes to conversations and their members.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import assert_never

from messaging.dialects import camel, envelopes, shapes
from messaging.dialects.answers import CURSOR, FLAG, NUMBER
from messaging.dialects.base import Frame, Payload
from messaging.dialects.chat_told import MESSAGE, MESSAGES, VOCABULARY
from messaging.dialects.namespace import Namespace, Row
from messaging.dialects.told import ID, TOKEN_END, listed
from messaging.domain.commands import (
    Authenticate,
    Command,
    DeleteMessage,
    EditMessage,
    JoinConversation,
    LeaveConversation,
    ListOnlineUsers,
    LoadHistory,
    MarkRead,
    SearchMessages,
    SendMessage,
    SetReaction,
    SetTyping,
)
from messaging.domain.events import (
    ConversationChanged,
    ConversationDeleted,
    DeviceChanged,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageChange,
    MessageDeleted,
    MessageEdited,
    MessagesDelivered,
    MessageSent,
    MessagesRead,
    Notified,
    PlaceChanged,
    PresenceChanged,
    ReactionChanged,
    RoomEntered,
    RoomLeft,
    TypingChanged,
    UnreadChanged,
)
from messaging.domain.ids import numeric
from messaging.domain.models import Message, MessageView, Profile, Reaction, Status
from messaging.domain.pages import Views
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    Done,
    Found,
    HistoryPage,
    Joined,
    Left,
    Marked,
    OnlineUsers,
    Sent,
)

# --- shapes ------------------------------------------------------------------------------------------


def _message(stored: Message, sender: Profile, read_at: datetime | None = None) -> Payload:
    shown: Payload = {
        "id": stored.id,
        "conversationId": numeric(stored.conversation_id),
        "seq": stored.seq,
        "senderId": numeric(stored.sender_id),
        "content": stored.content,
        "attachments": [file.url for file in stored.attachments],
        "sentAt": shapes.time(stored.created_at),
        "type": stored.author.value,
        "contentType": stored.content_type.value,
        "reactions": _reactions(stored.reactions),
        "senderName": sender.display_name,
    }
    if read_at is not None:
        shown["readAt"] = shapes.time(read_at)
    if stored.edited_at is not None:
        shown["editedAt"] = shapes.time(stored.edited_at)
    if stored.deleted_at is not None:
        shown["deletedAt"] = shapes.time(stored.deleted_at)
    if stored.reply_to is not None:
        shown["replyTo"] = stored.reply_to
    if stored.client_message_id is not None:
        shown["clientMessageId"] = stored.client_message_id
    return shown


def _reactions(put: Iterable[Reaction]) -> list[Payload]:
    return [shown | {"userIds": _ids(shown["userIds"])} for shown in shapes.reactions(put)]


def _view(seen: MessageView) -> Payload:
    return _message(seen.message, seen.sender, seen.read_at)


def _views(seen: Iterable[MessageView]) -> list[Payload]:
    return seen.once(_all_views) if isinstance(seen, Views) else _all_views(seen)


def _all_views(seen: Iterable[MessageView]) -> list[Payload]:
    return [_view(one) for one in seen]


def _ids(user_ids: Iterable[str]) -> list[int | str]:
    return [numeric(user_id) for user_id in user_ids]


# --- commands ----------------------------------------------------------------------------------------


def _mark(message_id: int) -> Command:
    return MarkRead(message_ids=(message_id,))


def _joined(reply: Joined) -> Payload:
    return {"conversationId": numeric(reply.conversation.id), "lastSeq": reply.last_seq}


def _page(page: HistoryPage) -> Payload:
    return {"messages": _views(page.messages), "hasMore": page.has_more}


def _found(reply: Found) -> Payload:
    return {"messages": [_view(seen) for seen in reply.messages], "next": reply.next}


def _sent(reply: Sent) -> Payload:
    return {"message": _view(reply.view)}


def _marked(reply: Marked) -> tuple[Frame, ...]:
    return tuple(frame for event in reply.again for frame in _receipts(event))


def _online(reply: OnlineUsers) -> Payload:
    return {"onlineUsers": _ids(reply.user_ids)}


def _changed(reply: ChangedMessage) -> tuple[Frame, ...]:
    """What was so before already, to who asks for it again."""
    return (_change(reply.event),) if reply.repeated else ()


_HERE: Payload = {"conversationId": 1}
_THIS: Payload = {"messageId": 123}

ROWS = (
    Row(
        name="conversation:join",
        summary="Hear a conversation from here on.",
        form=camel.InConversation(),
        # There is no event for history here: it is asked for with conversation:history.
        command=partial(JoinConversation, limit=0),
        reply=Joined,
        says="You hear this conversation now.",
        tells=_joined,
        has={"conversationId": ID, "lastSeq": NUMBER},
        example=_HERE,
    ),
    Row(
        name="conversation:leave",
        summary="Hear a conversation no longer on this connection.",
        form=camel.InConversation(),
        command=LeaveConversation,
        reply=Left,
        says="You no longer hear this conversation.",
        example=_HERE,
    ),
    Row(
        name="message:send",
        summary="Send a message; the ack has it as it was stored.",
        form=camel.Send(),
        command=SendMessage,
        reply=Sent,
        says="Sent.",
        tells=_sent,
        has={"message": MESSAGE},
        example=_HERE | {"content": "Bonjour", "attachments": ["https://example.com/document.pdf"]},
    ),
    Row(
        name="message:typing",
        summary="Show, or no longer show, the others that the user types.",
        form=camel.Typing(),
        command=SetTyping,
        reply=Done,
        says="The others see it.",
        example=_HERE | {"isTyping": True},
    ),
    Row(
        name="message:read",
        summary="Mark all messages up to this one read.",
        form=camel.OneMessage(),
        command=_mark,
        reply=Marked,
        says="Marked read.",
        frames=_marked,
        example=_THIS,
    ),
    Row(
        name="message:edit",
        summary="Say something else in a message of one's own.",
        form=camel.Edit(),
        command=EditMessage,
        reply=ChangedMessage,
        says="Edited.",
        frames=_changed,
        example=_THIS | {"content": "Bonsoir"},
    ),
    Row(
        name="message:delete",
        summary="Take back a message: one's own, or as an admin anybody's.",
        form=camel.OneMessage(),
        command=DeleteMessage,
        reply=ChangedMessage,
        says="Deleted.",
        frames=_changed,
        example=_THIS,
    ),
    Row(
        name="message:react",
        summary="Put an emoji on a message.",
        form=camel.React(),
        command=partial(SetReaction, present=True),
        reply=ChangedMessage,
        says="You reacted.",
        frames=_changed,
        example=_THIS | {"emoji": "👍"},
    ),
    Row(
        name="message:unreact",
        summary="Take one's own emoji back.",
        form=camel.React(),
        command=partial(SetReaction, present=False),
        reply=ChangedMessage,
        says="You took your reaction back.",
        frames=_changed,
        example=_THIS | {"emoji": "👍"},
    ),
    Row(
        name="conversation:users:online",
        summary="Who of a conversation is online.",
        form=camel.InConversation(),
        command=ListOnlineUsers,
        reply=OnlineUsers,
        says="Who is online.",
        tells=_online,
        has={"onlineUsers": listed(ID)},
        example=_HERE,
    ),
    Row(
        name="conversation:history",
        summary="A page of a conversation, before or after a seq, oldest first.",
        form=camel.History(),
        command=LoadHistory,
        reply=HistoryPage,
        says="A page of the conversation.",
        tells=_page,
        has={"messages": MESSAGES, "hasMore": FLAG},
        example=_HERE | {"after": 0},
    ),
    Row(
        name="message:search",
        summary="Messages with all these words (the last one may go on), the newest first.",
        form=camel.Search(),
        command=SearchMessages,
        reply=Found,
        says="What was found.",
        tells=_found,
        has={"messages": MESSAGES, "next": CURSOR},
        example={"query": "rendez-vous dem", "limit": 20},
    ),
    Row(
        name="authenticate",
        summary="Go on with a new token for the same user.",
        form=camel.Token(),
        command=Authenticate,
        reply=Authenticated,
        says="You are signed in.",
        tells=envelopes.authenticated,
        has={"expiresAt": TOKEN_END},
        example={"token": "eyJhbGciOi…"},
    ),
)

# --- events ------------------------------------------------------------------------------------------


def _new_message(event: MessageSent) -> Frame:
    message = _message(event.message, event.sender)
    return Frame("message:new", {"message": message, "timestamp": message["sentAt"]})


def _typing(event: TypingChanged) -> Frame:
    payload = {
        "conversationId": numeric(event.conversation.id),
        "userId": numeric(event.user.id),
        "isTyping": event.active,
    }
    return Frame("user:typing", payload)


def _receipts(event: MessagesRead) -> tuple[Frame, ...]:
    shared = {
        "conversationId": numeric(event.conversation.id),
        "readBy": numeric(event.reader.id),
        "readAt": shapes.time(event.at),
    }
    return tuple(
        Frame("message:read:ack", {"messageId": receipt.message_id, **shared}) for receipt in event.receipts
    )


def _change(event: MessageChange) -> Frame:
    message = event.message
    place: Payload = {"messageId": message.id, "conversationId": numeric(message.conversation_id)}
    match event:
        case MessageEdited():
            return Frame("message:edited", _message(message, event.sender, event.read_at))
        case MessageDeleted():
            told = {"seq": message.seq, "deletedAt": shapes.time(message.deleted_at or event.at)}
            return Frame("message:deleted", place | told)
        case ReactionChanged():
            return Frame("message:reaction", place | {"reactions": _reactions(message.reactions)})


def _presence(event: PresenceChanged) -> tuple[Frame, ...]:
    if not event.crossed:
        return ()
    name = "user:offline" if event.status is Status.OFFLINE else "user:online"
    return (Frame(name, {"userId": numeric(event.user.id)}),)


def render(event: Event) -> tuple[Frame, ...]:
    """How an event is told in `/chat`."""
    match event:
        case MessageSent():
            return (_new_message(event),)
        case MessageEdited() | MessageDeleted() | ReactionChanged():
            return (_change(event),)
        case TypingChanged():
            return (_typing(event),)
        case MessagesRead():
            return _receipts(event)
        case PresenceChanged():
            return _presence(event)
        case Notified():
            told = event.notification
            return (Frame("notification", shapes.notification(told) | {"id": numeric(told.id)}),)
        case (
            ConversationChanged()
            | MemberAdded()
            | MemberRemoved()
            | MessagesDelivered()
            | ConversationDeleted()
            | UnreadChanged()
            | RoomEntered()
            | RoomLeft()
            | DeviceChanged()
            | PlaceChanged()
        ):
            return ()
        case _:
            assert_never(event)


class Chat(Namespace):
    """Ids as numbers where they are some."""

    name = "chat"
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        super().__init__(ROWS)

    def shown_id(self, given: str | int) -> str | int:
        """As a number where it is one."""
        return numeric(given) if isinstance(given, str) else given

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told; the same for everybody."""
        del viewer
        return render(event)
