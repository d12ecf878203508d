"""Rows of the SQLite tables as domain values, and back. Pure."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from messaging.domain.models import (
    Attachment,
    Author,
    Change,
    ChangeKind,
    ContentType,
    Conversation,
    Edit,
    Kind,
    Member,
    Membership,
    Message,
    Profile,
    Reaction,
    ReadMark,
    Receipts,
    Role,
    Status,
    User,
)

Record = TypeVar("Record", bound=tuple[Any, ...])
MessageRow = tuple[int, *tuple[object, ...]]
"""A new message's values, in the order of `INSERT_MESSAGES`."""

_TOGETHER = 32
"""How many records go into one statement."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=1_000)  # messages of a moment have the same time
def milliseconds(time: datetime) -> int:
    """A time as it is stored."""
    return (time - _EPOCH) // _MILLISECOND


def time_of(stored: int) -> datetime:
    """A stored time."""
    return _EPOCH + timedelta(milliseconds=stored)


def milliseconds_or_none(time: datetime | None) -> int | None:
    """A time as it is stored, if there is one."""
    return None if time is None else milliseconds(time)


def _time_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else time_of(stored)


def json_list(values: Iterable[str | int]) -> str:
    """A list for `json_each`, so that one statement serves any number of ids."""
    return orjson.dumps(list(values)).decode()


def portions(records: Collection[Record]) -> Iterator[Sequence[Record]]:
    """Records of which each portion goes into one statement: a statement fights for Python's lock, and there
    is a prepared one for each number of records."""
    listed = list(records)
    return (listed[start : start + _TOGETHER] for start in range(0, len(listed), _TOGETHER))


def values(records: Sequence[tuple[object, ...]]) -> str:
    """The VALUES of a statement with so many records."""
    record = f"({', '.join('?' * len(records[0]))})"
    return f"VALUES {', '.join([record] * len(records))}"


def flat(records: Iterable[tuple[object, ...]]) -> tuple[object, ...]:
    """What is to be put into the `values`."""
    return tuple(itertools.chain.from_iterable(records))


def camel(name: str) -> str:
    """A column as clients write it."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def user_of(row: sqlite3.Row) -> User:
    """A row of users."""
    last_seen = _time_or_none(row["last_seen"])
    return User(profile=profile_of(row), status=Status(row["status"]), last_seen=last_seen)


def profile_of(row: sqlite3.Row) -> Profile:
    """The profile in a row of users."""
    return Profile(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        salon_name=row["salon_name"],
        image=row["image"],
        role=row["role"],
        email=row["email"],
    )


def conversation_of(row: sqlite3.Row) -> Conversation:
    """A row of conversations."""
    return Conversation(
        id=row["id"],
        kind=Kind(row["kind"]),
        name=row["name"],
        private=bool(row["private"]),
        created_at=time_of(row["created_at"]),
        updated_at=time_of(row["updated_at"]),
        version=row["version"],
        member_count=row["member_count"],
        retention_days=row["retention_days"],
        removed_seq=row["removed_seq"],
    )


def conversation_row(conversation: Conversation) -> dict[str, object]:
    """A conversation's values by column."""
    return {
        "id": conversation.id,
        "kind": conversation.kind.value,
        "name": conversation.name,
        "private": conversation.private,
        "created_at": milliseconds(conversation.created_at),
        "updated_at": milliseconds(conversation.updated_at),
        "version": conversation.version,
        "member_count": conversation.member_count,
        "retention_days": conversation.retention_days,
    }


def member_of(row: sqlite3.Row) -> Member:
    """A row of members with its `cursor` and `own_read`, each None where there is no cursor."""
    return Member(
        conversation_id=row["conversation_id"],
        user_id=row["user_id"],
        role=Role(row["role"]),
        joined_at=time_of(row["joined_at"]),
        cursor=row["cursor"] or 0,
        own_read=row["own_read"] or 0,
        muted=bool(row["muted"]),
        archived_at=row["archived_at"],
        unread_at=row["unread_at"],
    )


def membership_of(row: sqlite3.Row) -> Membership:
    """A row of members with its conversation and the conversation's last message, where there is one."""
    conversation = conversation_of(row)
    last_at = row["last_at"]
    return Membership(
        conversation=conversation,
        member=member_of(row),
        last_seq=row["last_seq"] or 0,
        last_rev=row["last_rev"],
        own_sent=row["own_sent"] or 0,
        active_at=conversation.updated_at if last_at is None else time_of(last_at),
    )


def message_of(row: sqlite3.Row) -> Message:
    """A row of messages."""
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        sender_id=row["sender_id"],
        sender_seq=row["sender_seq"],
        author=Author(row["author"]),
        content_type=ContentType(row["content_type"]),
        content=row["content"],
        attachments=_attachments(row["attachments"]),
        reply_to=row["reply_to"],
        client_message_id=row["client_message_id"],
        device=row["device"],
        created_at=time_of(row["created_at"]),
        rev=row["rev"],
        edited_at=_time_or_none(row["edited_at"]),
        deleted_at=_time_or_none(row["deleted_at"]),
        reactions=_reactions(row["reactions"]),
    )


def message_row(message: Message, anchor: bool = True) -> MessageRow:
    """A new message's values. `anchor`: whether it is to be found by its sender (`sqlite_own`)."""
    return (
        message.id,
        message.conversation_id,
        message.seq,
        message.sender_id,
        message.sender_seq,
        message.author.value,
        message.content_type.value,
        message.content,
        json_of(message.attachments),
        message.reply_to,
        message.client_message_id,
        message.device,
        milliseconds(message.created_at),
        anchor,
    )


INSERT_MESSAGES = """
    INSERT OR FAIL INTO messages (
        id, conversation_id, seq, sender_id, sender_seq, author, content_type, content,
        attachments, reply_to, client_message_id, device, created_at, anchor
    )
"""
"""To be followed by `values`. OR FAIL: a job that fails is undone as a whole, so SQLite need not keep what
would undo this statement alone."""


def json_of(values: Collection[Attachment | Reaction]) -> str | None:
    """What a message has several of, as it is stored."""
    return orjson.dumps([asdict(value) for value in values]).decode() if values else None


def change_of(row: sqlite3.Row) -> Change:
    """A row of changes."""
    return Change(
        conversation_id=row["conversation_id"],
        message_id=row["message_id"],
        kind=ChangeKind(row["kind"]),
        user_id=row["user_id"],
        emoji=row["emoji"],
        at=time_of(row["at"]),
        rev=row["rev"],
        last_seq=row["last_seq"],
    )


def edit_of(row: sqlite3.Row) -> Edit:
    """A row of changes that is an edit."""
    return Edit(content=row["before"], user_id=row["user_id"], at=time_of(row["at"]), rev=row["rev"])


def mark_of(row: sqlite3.Row) -> ReadMark:
    """A row of read marks."""
    return ReadMark(
        conversation_id=row["conversation_id"],
        reader_id=row["reader_id"],
        after=row["after"],
        seq=row["seq"],
        at=time_of(row["at"]),
    )


def receipts_of(user_id: str, delivered: int | None, read: int | None) -> Receipts:
    """How far a member has received and read, where they have."""
    return Receipts(user_id=user_id, delivered=max(delivered or 0, read or 0), read=read or 0)


def _attachments(stored: str | None) -> tuple[Attachment, ...]:
    return tuple(Attachment(**values) for values in orjson.loads(stored)) if stored else ()


def _reactions(stored: str | None) -> tuple[Reaction, ...]:
    if not stored:
        return ()
    return tuple(
        Reaction(emoji=one["emoji"], user_ids=tuple(one["user_ids"])) for one in orjson.loads(stored)
    )
