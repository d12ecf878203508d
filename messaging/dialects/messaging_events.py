"""What `/messaging` tells of what happened."""

from __future__ import annotations

from typing import assert_never

from messaging.dialects import shapes
from messaging.dialects.base import Frame, Payload
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
from messaging.domain.models import Status


def _typing(event: TypingChanged) -> Frame:
    who = {"conversationId": event.conversation.id, "userId": event.user.id}
    if event.active:
        return Frame("user-typing", who | {"userName": event.user.display_name})
    return Frame("user-stopped-typing", who)


def receipts(event: MessagesRead) -> tuple[Frame, ...]:
    """One frame for each message that was newly read."""
    at = shapes.time(event.at)
    return tuple(
        Frame(
            "message-read",
            {
                "messageId": str(receipt.message_id),
                "readAt": at,
                "conversationId": event.conversation.id,
                "userId": event.reader.id,
                "seq": receipt.seq,
            },
        )
        for receipt in event.receipts
    )


def deliveries(event: MessagesDelivered) -> tuple[Frame, ...]:
    """One frame for each user whom messages have reached: the last of them, with all before it."""
    at = shapes.time(event.at)
    return tuple(
        Frame(
            "message-delivered",
            {
                "messageId": str(delivery.message_id),
                "deliveredAt": at,
                "conversationId": event.conversation.id,
                "userId": delivery.user_id,
                "seq": delivery.seq,
            },
        )
        for delivery in event.deliveries
    )


def change(event: MessageChange) -> Frame:
    """A message that was edited or deleted, or has other reactions."""
    message = event.message
    place: Payload = {"messageId": str(message.id), "conversationId": message.conversation_id}
    match event:
        case MessageEdited():
            return Frame("message-edited", shapes.message(message, event.sender, event.read_at))
        case MessageDeleted():
            told = {"seq": message.seq, "deletedAt": shapes.time(message.deleted_at or event.at)}
            return Frame("message-deleted", place | told)
        case ReactionChanged():
            return Frame("reaction-updated", place | {"reactions": shapes.reactions(message.reactions)})


def _presence(event: PresenceChanged) -> Frame:
    payload: Payload = {"userId": event.user.id, "status": event.status.value}
    if event.last_seen is not None:
        payload["lastSeen"] = shapes.time(event.last_seen)
    return Frame("user-offline" if event.status is Status.OFFLINE else "user-online", payload)


def _unread(event: UnreadChanged) -> Frame:
    payload: Payload = {"totalUnread": event.total}
    if event.conversation_id is not None:
        payload["conversationId"] = event.conversation_id
    if event.unread is not None:
        payload["unread"] = event.unread
    return Frame("unread-count-updated", payload)


def _to_user(event: UnreadChanged | Notified) -> Frame:
    if isinstance(event, Notified):
        return Frame("notification", shapes.notification(event.notification))
    return _unread(event)


def _conversation(
    event: ConversationChanged | ConversationDeleted | MemberAdded | MemberRemoved | PlaceChanged,
) -> Payload:
    match event:
        case ConversationChanged() | MemberAdded() | PlaceChanged():
            return shapes.conversation(event.view)
        case MemberRemoved():
            return {"id": event.conversation.id, "removed": True}
        case ConversationDeleted():
            return {"id": event.conversation.id, "deletedAt": shapes.time(event.at)}


def render(event: Event) -> tuple[Frame, ...]:
    """How an event is told in `/messaging`."""
    match event:
        case MessageSent():
            return (Frame("new-message", shapes.message(event.message, event.sender)),)
        case MessageEdited() | MessageDeleted() | ReactionChanged():
            return (change(event),)
        case TypingChanged():
            return (_typing(event),)
        case MessagesRead():
            return receipts(event)
        case MessagesDelivered():
            return deliveries(event)
        case PresenceChanged():
            return (_presence(event),)
        case ConversationChanged() | ConversationDeleted() | MemberAdded() | MemberRemoved() | PlaceChanged():
            return (Frame("conversation-updated", _conversation(event)),)
        case UnreadChanged() | Notified():
            return (_to_user(event),)
        case RoomEntered() | RoomLeft() | DeviceChanged():
            return ()
        case _:
            assert_never(event)
