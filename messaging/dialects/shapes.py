"""How `messaging` and REST show things: messages, conversations, people, in camelCase with ids as strings.

Plain dictionaries, built by hand: this runs for every message that goes out. What is absent and optional
is left out. No e-mail address ever comes from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from messaging.domain.models import (
    Attachment,
    Author,
    ContentType,
    ConversationView,
    Membership,
    MemberView,
    Message,
    MessageView,
    Notification,
    Profile,
    Reaction,
)
from messaging.domain.pages import Views

Payload = dict[str, Any]

MAX_SHOWN_REACTORS = 50

# Python computes an enumeration's `value` each time.
_AUTHORS = {author: author.value for author in Author}
_CONTENT_TYPES = {content_type: content_type.value for content_type in ContentType}


@lru_cache(maxsize=1024)
def time(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`; all times of the domain are UTC already."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def person(profile: Profile) -> Payload:
    """A user as others see them."""
    shown: Payload = {"id": profile.id}
    if profile.first_name is not None:
        shown["firstName"] = profile.first_name
    if profile.last_name is not None:
        shown["lastName"] = profile.last_name
    if profile.salon_name is not None:
        shown["salonName"] = profile.salon_name
    if profile.name is not None:
        shown["name"] = profile.name
    if profile.username is not None:
        shown["username"] = profile.username
    if profile.image is not None:
        shown["image"] = profile.image
    # Who may act for the host application is nobody's business.
    shown["role"] = "user" if profile.role == "service" else profile.role
    return shown


class _Last:
    """What was shown last: an ack and the event behind it show the same message, and many have one sender."""

    __slots__ = ("message", "person", "profile", "read_at", "sender", "shown")

    def __init__(self) -> None:
        self.profile: Profile | None = None
        self.person: Payload = {}
        self.message: Message | None = None
        self.sender: Profile | None = None
        self.read_at: datetime | None = None
        self.shown: Payload = {}


_last = _Last()


def message(stored: Message, sender: Profile, read_at: datetime | None = None) -> Payload:
    """A message; `read_at` is when somebody but its sender had first read it. Not to be changed."""
    if _last.message is not stored or _last.sender is not sender or _last.read_at is not read_at:
        _last.shown = _message(stored, sender, read_at)
        _last.message, _last.sender, _last.read_at = stored, sender, read_at
    return _last.shown


def _sender(profile: Profile) -> Payload:
    if profile is not _last.profile:
        _last.profile, _last.person = profile, person(profile)
    return _last.person


def _message(stored: Message, sender: Profile, read_at: datetime | None) -> Payload:
    shown: Payload = {
        "id": str(stored.id),
        "conversationId": stored.conversation_id,
        "seq": stored.seq,
        "content": stored.content,
        "senderId": stored.sender_id,
        "type": _AUTHORS[stored.author],
        "contentType": _CONTENT_TYPES[stored.content_type],
        "isRead": read_at is not None,
        "createdAt": time(stored.created_at),
        "attachments": [attachment(a) for a in stored.attachments] if stored.attachments else [],
        "reactions": reactions(stored.reactions) if stored.reactions else [],
        "sender": _sender(sender),
    }
    if read_at is not None:
        shown["readAt"] = time(read_at)
    if stored.edited_at is not None:
        shown["editedAt"] = time(stored.edited_at)
    if stored.deleted_at is not None:
        shown["deletedAt"] = time(stored.deleted_at)
    if stored.reply_to is not None:
        shown["replyTo"] = str(stored.reply_to)
    if stored.client_message_id is not None:
        shown["clientMessageId"] = stored.client_message_id
    return shown


def view(seen: MessageView) -> Payload:
    """A message as it is read back."""
    return message(seen.message, seen.sender, seen.read_at)


def views(seen: Iterable[MessageView]) -> list[Payload]:
    """Messages as they are read back. Not to be changed."""
    return seen.once(_views) if isinstance(seen, Views) else _views(seen)


def _views(seen: Iterable[MessageView]) -> list[Payload]:
    return [view(one) for one in seen]


def attachment(file: Attachment) -> Payload:
    """A file; id, name and size are always there."""
    shown: Payload = {
        "id": file.id,
        "url": file.url,
        "fileName": file.file_name,
        "fileSize": file.file_size,
    }
    if file.mime_type is not None:
        shown["mimeType"] = file.mime_type
    if file.duration is not None:
        shown["duration"] = file.duration
    return shown


def reactions(put: Iterable[Reaction]) -> list[Payload]:
    """Who put which emoji; of many the first, and the count of all."""
    return [
        {"emoji": r.emoji, "count": r.count, "userIds": list(r.user_ids[:MAX_SHOWN_REACTORS])} for r in put
    ]


def notification(told: Notification) -> Payload:
    """Something that the user is told besides messages."""
    shown: Payload = {
        "id": told.id,
        "type": told.type,
        "data": json.loads(told.data),
        "createdAt": time(told.created_at),
    }
    if told.read_at is not None:
        shown["readAt"] = time(told.read_at)
    if told.title is not None:
        shown["title"] = told.title
    if told.body is not None:
        shown["body"] = told.body
    return shown


def conversation(seen: ConversationView) -> Payload:
    """A conversation; what concerns the asking user alone only where the view has it."""
    kept = seen.conversation
    changed = kept.updated_at
    if seen.last_message is not None:
        changed = max(changed, seen.last_message.message.created_at)
    shown: Payload = {
        "id": kept.id,
        "kind": kept.kind.value,
        "private": kept.private,
        "createdAt": time(kept.created_at),
        "updatedAt": time(changed),
        "lastSeq": seen.last_seq,
        "memberCount": kept.member_count,
    }
    if kept.name is not None:
        shown["name"] = kept.name
    if kept.retention_days:
        shown["retentionDays"] = kept.retention_days
    if seen.last_message is not None:
        shown["lastMessage"] = view(seen.last_message)
    if seen.members is not None:
        shown["members"] = [_member(m) for m in seen.members]
    return shown | _mine(seen.mine)


def _member(seen: MemberView) -> Payload:
    return person(seen.profile) | {"memberRole": seen.role.value}


def _mine(membership: Membership | None) -> Payload:
    if membership is None:
        return {}
    shown: Payload = {
        "memberRole": membership.member.role.value,
        "unread": membership.unread,
        "archived": membership.archived,
        "muted": membership.member.muted,
    }
    if membership.marked_unread:
        shown["markedUnread"] = True
    return shown
