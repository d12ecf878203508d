"""Plain values for the store tests: conversations, members, drafts, and the databases to keep them in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.domain.errors import ClientError
from messaging.domain.models import (
    Appended,
    Change,
    ChangeKind,
    Conversation,
    Draft,
    Kind,
    Member,
    Message,
    ReadMark,
)
from messaging.service.ports import Store

T0 = datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC)
_numbers = itertools.count(1)


MEMORY, FILE = "sqlite-memory", "sqlite-file"
MONGODB = pytest.param("mongodb", marks=pytest.mark.real)
DATABASES = (MEMORY, FILE, MONGODB)

over_lasting = pytest.mark.parametrize("database", [FILE, MONGODB], indirect=True)
"""For tests that need what was written to be there for the next store, after the first was closed."""
over_shared = pytest.mark.parametrize("database", [MONGODB], indirect=True)
"""For tests that need several stores open at once, as several processes have them."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database of one test's own. `make` gives a store on it that is not open yet."""

    make: Callable[[], Store]


def later(seconds: float) -> datetime:
    """A time after T0."""
    return T0 + timedelta(seconds=seconds)


def fresh_id(prefix: str = "c") -> str:
    """An id that no other call gives."""
    return f"{prefix}{next(_numbers)}"


def conversation(conversation_id: str = "c", **changes: Any) -> Conversation:
    given = {"kind": Kind.GROUP, "created_at": T0, "updated_at": T0, **changes}
    return Conversation(id=conversation_id, **given)


def member(user_id: str, conversation_id: str = "c", **changes: Any) -> Member:
    return Member(**{"conversation_id": conversation_id, "user_id": user_id, "joined_at": T0, **changes})


def draft(content: str = "hello", **changes: Any) -> Draft:
    """A draft with an id of its own, by alice in conversation c."""
    number = next(_numbers)
    given = {"id": number, "conversation_id": "c", "sender_id": "alice", "created_at": T0, **changes}
    return Draft(content=content, **given)


def mark(
    reader_id: str, seq: int, *, after: int = 0, conversation_id: str = "c", seconds: float = 0
) -> ReadMark:
    """A read mark."""
    return ReadMark(
        conversation_id=conversation_id, reader_id=reader_id, after=after, seq=seq, at=later(seconds)
    )


def change(message: Message, kind: ChangeKind, user_id: str = "alice", **changes: Any) -> Change:
    """Something that is about to be done to a message."""
    given = {"conversation_id": message.conversation_id, "message_id": message.id, "at": T0, **changes}
    return Change(kind=kind, user_id=user_id, **given)


def stored(outcome: Appended | ClientError) -> Message:
    """The message of an outcome that is no refusal."""
    assert isinstance(outcome, Appended), outcome
    return outcome.message


async def send(store: Store, *drafts: Draft) -> list[Message]:
    """Append drafts of which none may be refused."""
    return [stored(outcome) for outcome in await store.append(drafts)]


async def everything(store: Store, conversation_id: str = "c") -> Sequence[Message]:
    """All messages of a conversation."""
    return await store.history(conversation_id, after=0, limit=1_000_000)
