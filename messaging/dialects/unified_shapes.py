"""How the dialect of `/ws` shows things: frames of `{type, payload, meta}`, with numbers as ids.

`meta` says when, from whom, for whom and from which device; a frame that the server makes by itself is
from nobody.
"""

from __future__ import annotations

import json
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
    changed_by,
)
from messaging.domain.ids import numeric
from messaging.domain.models import (
    Conversation,
    ConversationView,
    Kind,
    MemberView,
    Message,
    Notification,
    Status,
)
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    ContactList,
    ConversationReply,
    Greeted,
    Marked,
    Missed,
    Pong,
    Sent,
)

Id = int | str

GROUP_INVITE = "group_invite"
"""The type of the notification that an invitation is."""
GROUP_ADDED = "group_added"
"""And of the one that says that somebody was added to a group."""

# --- the envelope ------------------------------------------------------------------------------------


def frame(
    name: str,
    payload: Payload,
    at: datetime,
    *,
    sender: Id | None = None,
    target: Id | None = None,
    device: str | None = None,
) -> Frame:
    """A frame; its time in `meta` in whole seconds."""
    meta = {
        "timestamp": int(at.timestamp()),
        "sender_id": sender,
        "target_id": target,
        "client_id": device,
    }
    return Frame(name, {"type": name, "payload": payload, "meta": meta})


def _target(conversation: Conversation, actor_id: str) -> Id | None:
    """Whom something is for: the other one of two (of the system: nobody alone), or the group."""
    if conversation.kind is not Kind.DIRECT:
        return numeric(conversation.id)
    partner = snake.partner(conversation, actor_id)
    return None if partner is None else numeric(partner)


def _group(conversation: Conversation) -> Payload:
    return {} if conversation.kind is Kind.DIRECT else {"group_id": numeric(conversation.id)}


# --- shapes ------------------------------------------------------------------------------------------


def _message(stored: Message) -> Payload:
    shown: Payload = {
        "message_id": stored.id,
        "conversation_id": numeric(stored.conversation_id),
        "seq": stored.seq,
        "content": stored.content,
        "content_type": stored.content_type.value,
        "attachments": [],
        "created_at": time(stored.created_at),
    }
    return shown | snake.extras(stored)


def _said(conversation: Conversation, stored: Message) -> Frame:
    """A message, live, missed or repeated: always the same."""
    return frame(
        "chat_message" if conversation.kind is Kind.DIRECT else "group_message",
        _message(stored) | _group(conversation),
        stored.created_at,
        sender=numeric(stored.sender_id),
        target=_target(conversation, stored.sender_id),
        device=stored.device,
    )


def _conversation(view: ConversationView) -> Payload:
    kept = view.conversation
    shown: Payload = {
        **_group(kept),
        "kind": kept.kind.value,
        "private": kept.private,
        "created_at": time(kept.created_at),
        "updated_at": time(kept.updated_at),
        "last_seq": view.last_seq,
        "member_count": kept.member_count,
    }
    if kept.name is not None:
        shown["name"] = kept.name
    if view.last_message is not None:
        last = view.last_message.message
        shown["last_message"] = _message(last) | {"sender_id": numeric(last.sender_id)}
    if view.members is not None:
        shown["members"] = [_member(member) for member in view.members]
    return shown


_NAMES = ("first_name", "last_name", "salon_name", "name", "username", "image")


def _member(seen: MemberView) -> Payload:
    names = {name: getattr(seen.profile, name) for name in _NAMES}
    return {
        "user_id": numeric(seen.profile.id),
        "member_role": seen.role.value,
        **{name: value for name, value in names.items() if value is not None},
    }


# --- answers -----------------------------------------------------------------------------------------


def sent(reply: Sent, _at: datetime) -> tuple[Frame, ...]:
    """Nothing for a first send: the message comes back to its sender as to everybody who hears it. In a
    public room that is nobody here, and the answer is the only word of it."""
    if reply.repeated or reply.conversation.kind is Kind.ROOM:
        return (_said(reply.conversation, reply.view.message),)
    return ()


def marked(reply: Marked, _at: datetime) -> tuple[Frame, ...]:
    """What had been read before, to who marks it again."""
    return tuple(receipt for event in reply.again for receipt in _receipts(event))


def joined(reply: ConversationReply, at: datetime) -> tuple[Frame, ...]:
    """The group that an invitation led to."""
    return _updated(reply.view.conversation, _conversation(reply.view), at)


def authenticated(reply: Authenticated, at: datetime) -> tuple[Frame, ...]:
    """When the new token ends."""
    return (frame("authenticated", snake.token_end(reply), at),)


def pong(_reply: Pong, at: datetime) -> tuple[Frame, ...]:
    """The answer to nothing."""
    return (frame("pong", {}, at),)


def greeted(reply: Greeted, at: datetime) -> tuple[Frame, ...]:
    """The device's own name."""
    return (_device(reply.user_id, reply.device, at, connected=True),)


def contacts(reply: ContactList, at: datetime) -> tuple[Frame, ...]:
    """Who is not offline, one by one."""
    return tuple(_status(seen.user_id, seen.status, seen.last_seen, at) for seen in reply.statuses)


def missed(reply: Missed, at: datetime) -> tuple[Frame, ...]:
    """Each message and notification, and each change of an earlier message, as it would have come live; then
    that this was all."""
    said = [(seen.message.created_at, _said(where, seen.message)) for where, seen in reply.messages]
    user_id = numeric(reply.user_id)
    told = [(note.created_at, _notification(note, note.created_at, user_id)) for note in reply.notifications]
    frames = [each for _, each in sorted([*said, *told], key=lambda dated: dated[0])]
    frames += [_changed(event) for event in reply.changes]
    synced = {"event": "synced", "count": len(frames), "more": reply.more}
    return (*frames, frame("connection_event", synced, at))


def changed(reply: ChangedMessage, _at: datetime) -> tuple[Frame, ...]:
    """As with a message: nothing for a first change, which comes back like to everybody who hears it."""
    if reply.repeated or reply.event.conversation.kind is Kind.ROOM:
        return (_changed(reply.event),)
    return ()


# --- events ------------------------------------------------------------------------------------------


def _changed(event: MessageChange) -> Frame:
    """A message that was edited or deleted, or an emoji on one; from who did it."""
    there, stored, user_id = event.conversation, event.message, changed_by(event)
    place: Payload = {
        "message_id": stored.id,
        "conversation_id": numeric(there.id),
        "seq": stored.seq,
        **_group(there),
    }
    match event:
        case MessageEdited():
            name, told = "message_edited", _message(stored) | _group(there)
        case MessageDeleted():
            name, told = "message_deleted", place | {"deleted_at": time(stored.deleted_at or event.at)}
        case ReactionChanged():
            put = snake.reactions(stored.reactions, numeric)
            told = place | {"emoji": event.emoji, "added": event.added, "reactions": put}
            name = "message_reaction"
    target = _target(there, user_id)
    return frame(name, told, event.at, sender=numeric(user_id), target=target)


def _typing(event: TypingChanged) -> Frame:
    where = {"conversation_id": numeric(event.conversation.id), **_group(event.conversation)}
    return frame(
        "typing_indicator",
        where | {"is_typing": event.active},
        event.at,
        sender=numeric(event.user.id),
        target=_target(event.conversation, event.user.id),
    )


def _receipts(event: MessagesRead) -> tuple[Frame, ...]:
    shared = {"conversation_id": numeric(event.conversation.id), "read_at": time(event.at)}
    reader, target = numeric(event.reader.id), _target(event.conversation, event.reader.id)
    return tuple(
        frame(
            "read_receipt", {"message_id": read.message_id, **shared}, event.at, sender=reader, target=target
        )
        for read in event.receipts
    )


def _status(user_id: str, status: Status, last_seen: datetime | None, at: datetime) -> Frame:
    payload: Payload = {"user_id": numeric(user_id), "status": status.value}
    if last_seen is not None:
        payload["last_seen"] = time(last_seen)
    return frame("status_update", payload, at, sender=numeric(user_id))


def _updated(group: Conversation, payload: Payload, at: datetime) -> tuple[Frame, ...]:
    """News of a group; a direct conversation is known by its messages."""
    if group.kind is Kind.DIRECT:
        return ()
    return (frame("group_updated", payload, at, target=numeric(group.id)),)


def _device(user_id: str, device: str, at: datetime, *, connected: bool) -> Frame:
    payload = {
        "event": "connected" if connected else "disconnected",
        "client_id": device,
        "user_id": numeric(user_id),
    }
    return frame("connection_event", payload, at, device=device)


def _notification(told: Notification, at: datetime, target: Id) -> Frame:
    """A notification. An invitation comes from who invites, and says to which group as one is invited; so
    does that one was added."""
    data = json.loads(told.data)
    payload = snake.notification(told) | {"id": numeric(told.id)}
    inviter = None
    if told.type in (GROUP_INVITE, GROUP_ADDED):
        payload |= {"group_id": numeric(group)} if (group := data.get("group_id")) else {}
        inviter = numeric(user) if (user := data.get("from")) else None
    return frame("notification", payload, at, sender=inviter, target=target)


def _to_user(event: MemberAdded | MemberRemoved | DeviceChanged | Notified) -> tuple[Frame, ...]:
    match event:
        case MemberAdded():
            return _updated(event.view.conversation, _conversation(event.view), event.at)
        case MemberRemoved():
            gone = _group(event.conversation) | {"removed": True}
            return _updated(event.conversation, gone, event.at)
        case DeviceChanged():
            return (_device(event.user_id, event.device, event.at, connected=event.connected),)
        case Notified():
            return (_notification(event.notification, event.at, numeric(event.user_id)),)


def _in_conversation(event: ConversationChanged | ConversationDeleted) -> tuple[Frame, ...]:
    if isinstance(event, ConversationChanged):
        return _updated(event.view.conversation, _conversation(event.view), event.at)
    gone = _group(event.conversation) | {"deleted_at": time(event.at)}
    return _updated(event.conversation, gone, event.at)


def render(event: Event) -> tuple[Frame, ...]:
    """How an event is told in `/ws`."""
    match event:
        case MessageSent():
            return (_said(event.conversation, event.message),)
        case MessageEdited() | MessageDeleted() | ReactionChanged():
            return (_changed(event),)
        case TypingChanged():
            return (_typing(event),)
        case MessagesRead():
            return _receipts(event)
        case PresenceChanged():
            return (_status(event.user.id, event.status, event.last_seen, event.at),)
        case ConversationChanged() | ConversationDeleted():
            return _in_conversation(event)
        case MemberAdded() | MemberRemoved() | DeviceChanged() | Notified():
            return _to_user(event)
        case MessagesDelivered() | UnreadChanged() | RoomEntered() | RoomLeft() | PlaceChanged():
            return ()
        case _:
            assert_never(event)
