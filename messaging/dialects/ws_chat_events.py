"""What `/ws/chat` tells: the envelope, messages, events."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from messaging.dialects import snake
from messaging.dialects.base import Frame, Payload
from messaging.dialects.shapes import time
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
from messaging.domain.models import Author, Conversation, Kind, Message, Profile

# --- shapes ------------------------------------------------------------------------------------------


def frame(name: str, data: Payload, at: datetime) -> Frame:
    """`{type, data, timestamp}`."""
    return Frame(name, {"type": name, "data": data, "timestamp": time(at)})


def who(user: Profile) -> Payload:
    """A user as most frames name them."""
    return {"user_id": numeric(user.id), "username": user.short_name}


def _said(stored: Message) -> Payload:
    spoken = stored.author is Author.SYSTEM
    return {
        "content": stored.content,
        "message_type": "system" if spoken else stored.content_type.value,
        "created_at": time(stored.created_at),
        **snake.extras(stored),
    }


def in_room(stored: Message, sender: Profile) -> Payload:
    """A message of a room or group."""
    place: Payload = {"id": stored.id, "seq": stored.seq, "room": stored.conversation_id}
    return place | who(sender) | _said(stored)


def between_two(stored: Message, sender: Profile, to_user: str) -> Payload:
    """A direct message."""
    return {
        "id": stored.id,
        "seq": stored.seq,
        "from_user_id": numeric(sender.id),
        "from_username": sender.short_name,
        "to_user_id": numeric(to_user),
        **_said(stored),
    }


def message(conversation: Conversation, stored: Message, sender: Profile, viewer: str | None = None) -> Frame:
    """A message as it was told when it was sent. What the system says to two is to whoever is told, and
    says who the other is."""
    if conversation.kind is not Kind.DIRECT:
        return frame("room_message", in_room(stored, sender), stored.created_at)
    to_user = snake.partner(conversation, sender.id)
    if to_user is not None:
        return frame("direct_message", between_two(stored, sender, to_user), stored.created_at)
    told = between_two(stored, sender, viewer or sender.id) | _place(conversation, viewer)
    return frame("direct_message", told, stored.created_at)


def _place(conversation: Conversation, viewer: str | None) -> Payload:
    other = snake.partner(conversation, viewer)
    return {"room": conversation.id} if other is None else {"with_user": numeric(other)}


# --- events ------------------------------------------------------------------------------------------


def _typing(event: TypingChanged) -> Frame:
    """It never goes to the typist, so that the other of the two is the typist for whoever is told."""
    direct = event.conversation.kind is Kind.DIRECT
    place: Payload = {"with_user": numeric(event.user.id)} if direct else {"room": event.conversation.id}
    return frame("typing", place | who(event.user) | {"is_typing": event.active}, event.at)


def change(event: MessageChange, viewer: str | None) -> Frame:
    """A message that was edited or deleted; a reaction, as the message that it looks like, or taken back."""
    there, stored = event.conversation, event.message
    match event:
        case MessageEdited():
            told = message(there, stored, event.sender, viewer).payload["data"]
            return frame("message_edited", {"message_id": stored.id, **told}, event.at)
        case MessageDeleted():
            gone: Payload = {"message_id": stored.id, "seq": stored.seq, "user_id": numeric(event.user_id)}
            gone["deleted_at"] = time(stored.deleted_at or event.at)
            return frame("message_deleted", gone | _place(there, viewer), event.at)
        case ReactionChanged(added=True):
            return _reaction(event, viewer)
        case ReactionChanged():
            back: Payload = {"message_id": stored.id, "user_id": numeric(event.user.id)}
            return frame(
                "reaction_removed", back | {"content": event.emoji} | _place(there, viewer), event.at
            )


def _reaction(event: ReactionChanged, viewer: str | None) -> Frame:
    there, stored, user = event.conversation, event.message, event.user
    put: Payload = {"content": event.emoji, "message_type": "reaction", "created_at": time(event.at)}
    put["reply_to"] = stored.id
    which: Payload = {"id": stored.id, "seq": stored.seq}
    if there.kind is not Kind.DIRECT:
        return frame("room_message", which | {"room": there.id} | who(user) | put, event.at)
    to_user = snake.partner(there, user.id) or viewer or user.id
    two = {"from_user_id": numeric(user.id), "from_username": user.short_name, "to_user_id": numeric(to_user)}
    return frame("direct_message", which | two | put, event.at)


def receipts(event: MessagesRead, viewer: str | None) -> tuple[Frame, ...]:
    """One frame for each message that was newly read."""
    shared = _place(event.conversation, viewer or event.reader.id)
    shared |= {"user_id": numeric(event.reader.id), "read_at": time(event.at)}
    return tuple(
        frame("message_read", {"message_id": receipt.message_id, **shared}, event.at)
        for receipt in event.receipts
    )


def _presence(event: PresenceChanged) -> Frame:
    return frame("status", {"user_id": numeric(event.user.id), "status": event.status.value}, event.at)


def _passage(event: RoomEntered | RoomLeft) -> Frame:
    name = "user_connected" if isinstance(event, RoomEntered) else "user_disconnected"
    return frame(name, who(event.user) | {"room": event.conversation.id}, event.at)


def render(event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
    """How an event is told in `/ws/chat`."""
    match event:
        case MessageSent():
            return (message(event.conversation, event.message, event.sender, viewer),)
        case MessageEdited() | MessageDeleted() | ReactionChanged():
            return (change(event, viewer),)
        case TypingChanged():
            return (_typing(event),)
        case MessagesRead():
            return receipts(event, viewer)
        case PresenceChanged():
            return (_presence(event),)
        case RoomEntered() | RoomLeft():
            return (_passage(event),)
        case Notified():
            told = event.notification
            return (frame("notification", snake.notification(told) | {"id": numeric(told.id)}, event.at),)
        case (
            ConversationChanged()
            | MemberAdded()
            | MemberRemoved()
            | MessagesDelivered()
            | ConversationDeleted()
            | UnreadChanged()
            | DeviceChanged()
            | PlaceChanged()
        ):
            return ()
        case _:
            assert_never(event)
