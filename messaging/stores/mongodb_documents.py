"""What is stored of the domain's values in MongoDB: collections, indexes, and models ↔ documents.

People look at these documents with mongosh, so the fields are called what the wire calls them. What has its
default (no attachments, never edited, …) is left out. Nothing here waits or knows a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from messaging.domain.models import (
    Attachment,
    Author,
    Change,
    ChangeKind,
    ContentType,
    Conversation,
    Draft,
    Edit,
    Kind,
    Member,
    Message,
    Profile,
    Reaction,
    ReadMark,
    Role,
    Status,
    User,
)
from messaging.domain.words import words_of

Document = dict[str, Any]
Stored = Mapping[str, Any]


def _index(*names: str, unique: bool = False, where: Document | None = None) -> IndexModel:
    keys = [(name, ASCENDING) for name in names]
    partial = {} if where is None else {"partialFilterExpression": where}
    return IndexModel(keys, unique=unique, **partial)


BY_WORD: Final = [("words", ASCENDING), ("_id", DESCENDING), ("conversationId", ASCENDING)]
INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "users": (_index("searchable", "_id"),),
    "conversations": (),
    "members": (
        _index("conversationId", "userId", unique=True),
        _index("conversationId", "joinedAt", "userId"),
        _index("userId", "conversationId"),
    ),
    "messages": (
        _index("conversationId", "seq", unique=True),
        _index("conversationId", "rev", unique=True, where={"rev": {"$gt": 0}}),
        _index(
            *("conversationId", "senderId", "clientMessageId"),
            unique=True,
            where={"clientMessageId": {"$exists": True}},
        ),
        _index("conversationId", "senderId", "seq"),
        IndexModel(BY_WORD),
        _index("hooked", "seq", where={"hooked": {"$exists": True}}),
    ),
    "changes": (
        _index("conversationId", "rev", unique=True),
        _index("conversationId", "lastSeq", "rev"),
        _index("messageId", "rev"),
        _index("userId", "messageId", where={"kind": ChangeKind.REACTED.value}),
    ),
    "cursors": (
        _index("conversationId", "userId", unique=True),
        _index("conversationId", "seq"),
        _index("userId"),
    ),
    "readMarks": (
        _index("conversationId", "readerId", "seq", unique=True),
        _index("conversationId", "seq", "after"),
        _index("conversationId", "at"),
    ),
    "deliveries": (_index("conversationId", "userId", unique=True), _index("userId")),
    "invitations": (_index("conversationId", "userId", unique=True), _index("userId"), _index("by")),
    "positions": (
        _index("userId", "device", "conversationId", unique=True),
        _index("conversationId"),
        IndexModel([("seenAt", ASCENDING)], expireAfterSeconds=90 * 24 * 3600),
    ),
    "recoveries": (IndexModel([("expiresAt", ASCENDING)], expireAfterSeconds=0),),
    "deletions": (),
    "disconnections": (_index("number", unique=True),),
    "leases": (),
    "hooks": (_index("lane", "_id"),),
}
"""All collections with their indexes, beside the one on `_id`."""


UNSEEN: Final[Mapping[str, bool]] = {"words": False}
"""The projection that leaves out what of a message is stored for searching only."""


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


_PROFILE_FIELDS = [(field.name, _camel(field.name)) for field in fields(Profile)]
_ATTACHMENT_FIELDS = [(field.name, _camel(field.name)) for field in fields(Attachment)]


def _compact(value: object, names: list[tuple[str, str]]) -> Document:
    pairs = ((key, getattr(value, name)) for name, key in names)
    return {key: each for key, each in pairs if each is not None}


def _arguments(document: Stored, names: list[tuple[str, str]]) -> Document:
    return {name: document[key] for name, key in names if key in document}


# users


def searchable(profile: Profile) -> list[str]:
    """What a user is found by: the id and all names, folded; each once."""
    names = (profile.username, profile.name, profile.first_name, profile.last_name, profile.salon_name)
    return sorted({name.casefold() for name in (profile.id, *names) if name})


def profile_document(profile: Profile) -> Document:
    """A profile as it stands inside a user's document."""
    return _compact(profile, _PROFILE_FIELDS)


def profile_from(document: Stored) -> Profile:
    """The profile that is stored in a user's document."""
    return Profile(**_arguments(document["profile"], _PROFILE_FIELDS))


def user_from(document: Stored) -> User:
    """The user that a document holds."""
    return User(
        profile=profile_from(document),
        status=Status(document["status"]),
        last_seen=document.get("lastSeen"),
    )


# conversations and members


def conversation_fields(conversation: Conversation) -> Document:
    """A conversation's fields beside `_id` and `incarnation`."""
    return {
        "kind": conversation.kind.value,
        "name": conversation.name,
        "private": conversation.private,
        "createdAt": conversation.created_at,
        "updatedAt": conversation.updated_at,
        "version": conversation.version,
        "memberCount": conversation.member_count,
        "retentionDays": conversation.retention_days,
    }


def conversation_from(document: Stored) -> Conversation:
    """The conversation that a document holds."""
    return Conversation(
        id=document["_id"],
        kind=Kind(document["kind"]),
        name=document["name"],
        private=document["private"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        version=document["version"],
        member_count=document["memberCount"],
        retention_days=document.get("retentionDays", 0),
        removed_seq=document.get("removedSeq", 0),
    )


def member_from(document: Stored, cursor: Stored | None) -> Member:
    """The member that a document holds, with their cursor's document, if they have one."""
    return Member(
        conversation_id=document["conversationId"],
        user_id=document["userId"],
        role=Role(document["role"]),
        joined_at=document["joinedAt"],
        cursor=cursor["seq"] if cursor else 0,
        own_read=cursor["ownRead"] if cursor else 0,
        muted=document["muted"],
        archived_at=document.get("archivedAt"),
        unread_at=document.get("unreadAt"),
    )


# messages


def message_document(draft: Draft, seq: int, sender_seq: int) -> Document:
    """A new message's document. On the hot path, so written out."""
    document = {
        "_id": draft.id,
        "conversationId": draft.conversation_id,
        "seq": seq,
        "senderId": draft.sender_id,
        "senderSeq": sender_seq,
        "author": draft.author.value,
        "contentType": draft.content_type.value,
        "content": draft.content,
        "createdAt": draft.created_at,
    }
    if words := words_of(draft.content):
        document["words"] = words
    if draft.client_message_id is not None:
        document["clientMessageId"] = draft.client_message_id
    if draft.reply_to is not None:
        document["replyTo"] = draft.reply_to
    if draft.device is not None:
        document["device"] = draft.device
    if draft.hook is not None:
        document["hooked"] = draft.conversation_id
        if draft.hook:
            document["hookTrace"] = draft.hook
    if draft.attachments:
        document["attachments"] = [_compact(each, _ATTACHMENT_FIELDS) for each in draft.attachments]
    return document


def new_message(draft: Draft, document: Stored) -> Message:
    """The message that `message_document` made of a draft."""
    return Message(
        id=draft.id,
        conversation_id=draft.conversation_id,
        seq=document["seq"],
        sender_id=draft.sender_id,
        sender_seq=document["senderSeq"],
        author=draft.author,
        content_type=draft.content_type,
        content=draft.content,
        attachments=draft.attachments,
        reply_to=draft.reply_to,
        client_message_id=draft.client_message_id,
        device=draft.device,
        created_at=draft.created_at,
    )


_AUTHORS = {each.value: each for each in Author}
_CONTENT_TYPES = {each.value: each for each in ContentType}
_TIMES = ("createdAt", "editedAt", "deletedAt")


def with_zone(document: Document) -> Document:
    """A message's document that was read without time zones, with them."""
    for name in _TIMES:
        if (at := document.get(name)) is not None:
            document[name] = at.replace(tzinfo=UTC)
    return document


def message_from(document: Stored) -> Message:
    """The message that a document holds."""
    get = document.get
    return Message(
        id=document["_id"],
        conversation_id=document["conversationId"],
        seq=document["seq"],
        sender_id=document["senderId"],
        sender_seq=document["senderSeq"],
        author=_AUTHORS[document["author"]],
        content_type=_CONTENT_TYPES[document["contentType"]],
        content=document["content"],
        attachments=tuple(
            Attachment(**_arguments(each, _ATTACHMENT_FIELDS)) for each in get("attachments", ())
        ),
        reply_to=get("replyTo"),
        client_message_id=get("clientMessageId"),
        device=get("device"),
        created_at=document["createdAt"],
        rev=get("rev", 0),
        edited_at=get("editedAt"),
        deleted_at=get("deletedAt"),
        reactions=tuple(
            Reaction(emoji=each["emoji"], user_ids=tuple(each["userIds"])) for each in get("reactions", ())
        ),
    )


# changes


def message_changes(message: Message, rev: int) -> Document:
    """The update that makes a stored message what `message` is, as revision `rev`."""
    new: Document = {"content": message.content, "rev": rev}
    given: Document = {
        "words": words_of(message.content),
        "editedAt": message.edited_at,
        "deletedAt": message.deleted_at,
        "attachments": [_compact(each, _ATTACHMENT_FIELDS) for each in message.attachments],
        "reactions": [{"emoji": each.emoji, "userIds": list(each.user_ids)} for each in message.reactions],
    }
    old = {key: True for key, value in given.items() if not value}
    new |= {key: value for key, value in given.items() if value}
    return {"$set": new, "$unset": old} if old else {"$set": new}


def change_document(change: Change, before: str | None) -> Document:
    """A change's document; `before` is what an edit replaced."""
    document = {
        "conversationId": change.conversation_id,
        "rev": change.rev,
        "messageId": change.message_id,
        "kind": change.kind.value,
        "userId": change.user_id,
        "at": change.at,
        "lastSeq": change.last_seq,
    }
    if change.emoji is not None:
        document["emoji"] = change.emoji
    if before is not None:
        document["before"] = before
    return document


def change_from(document: Stored) -> Change:
    """The change that a document holds."""
    return Change(
        conversation_id=document["conversationId"],
        message_id=document["messageId"],
        kind=ChangeKind(document["kind"]),
        user_id=document["userId"],
        emoji=document.get("emoji"),
        at=document["at"],
        rev=document["rev"],
        last_seq=document["lastSeq"],
    )


def edit_from(document: Stored) -> Edit:
    """What the document of an edit says that the message said before."""
    return Edit(
        content=document["before"], user_id=document["userId"], at=document["at"], rev=document["rev"]
    )


# reads


def read_mark_document(mark: ReadMark) -> Document:
    """A read mark's document."""
    return {
        "conversationId": mark.conversation_id,
        "readerId": mark.reader_id,
        "after": mark.after,
        "seq": mark.seq,
        "at": mark.at,
    }


def read_mark_from(document: Stored) -> ReadMark:
    """The read mark that a document holds."""
    return ReadMark(
        conversation_id=document["conversationId"],
        reader_id=document["readerId"],
        after=document["after"],
        seq=document["seq"],
        at=document["at"],
    )
