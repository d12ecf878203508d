"""Removing old messages for good, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

from messaging.domain.models import Conversation
from messaging.stores import sqlite_own as own
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


class SqliteRetention(SqliteBase):
    """`Retention` (messaging.service.ports_retention)."""

    async def conversations(self, *, after: str = "", limit: int) -> Sequence[Conversation]:
        return await self._read(_conversations, after, limit)

    async def remove_before(self, conversation_id: str, before: datetime, *, limit: int) -> int:
        return await self._write(remove_before, conversation_id, rows.milliseconds(before), limit)


def _conversations(db: sqlite3.Connection, after: str, limit: int) -> list[Conversation]:
    found = db.execute("SELECT * FROM conversations WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [rows.conversation_of(row) for row in found]


def remove_before(db: sqlite3.Connection, where: str, before: int, limit: int) -> int:
    last = reads.last_seq(db, where)
    oldest = db.execute(
        "SELECT id, seq, sender_id, created_at FROM messages WHERE conversation_id = ? ORDER BY seq LIMIT ?",
        (where, limit + 1),
    )
    found = list(takewhile(lambda row: row["created_at"] < before and row["seq"] < last, oldest.fetchall()))
    if not found:
        return 0
    old = found[:limit]
    up_to = old[-1]["seq"]
    _remove(db, where, up_to, [row["id"] for row in old])
    _begin_counting_anew(db, where, {row["sender_id"] for row in old})
    if len(found) <= limit:
        _count_as_read(db, where, up_to)
    return len(old)


def _remove(db: sqlite3.Connection, where: str, up_to: int, ids: Sequence[int]) -> None:
    db.execute("UPDATE conversations SET removed_seq = ? WHERE id = ?", (up_to, where))
    db.execute(
        "DELETE FROM changes WHERE message_id IN (SELECT value FROM json_each(?))", (rows.json_list(ids),)
    )
    for table in ("message_hooks", "read_marks", "messages"):
        db.execute(f"DELETE FROM {table} WHERE conversation_id = ? AND seq <= ?", (where, up_to))  # noqa: S608, names of ours


def _begin_counting_anew(db: sqlite3.Connection, where: str, senders: set[str]) -> None:
    """Of whom nothing is left, the next message counts as their first: none of their own is read."""
    gone = [sender for sender in senders if reads.own_sent(db, where, sender, None) == 0]
    db.execute(
        """
        UPDATE cursors SET own_read = 0
        WHERE conversation_id = ? AND user_id IN (SELECT value FROM json_each(?))
        """,
        (where, rows.json_list(gone)),
    )


def _count_as_read(db: sqlite3.Connection, where: str, up_to: int) -> None:
    """What nobody can read any more is unread to nobody."""
    db.execute(
        f"""
        INSERT INTO cursors
        SELECT conversation_id, user_id, :up_to,
            coalesce({own.first_count("m.conversation_id", "m.user_id")} - 1, 0)
        FROM members m WHERE conversation_id = :place
        ON CONFLICT (conversation_id, user_id)
        DO UPDATE SET seq = excluded.seq, own_read = excluded.own_read WHERE excluded.seq > seq
        """,  # noqa: S608  names of ours
        {"place": where, "up_to": up_to},
    )
