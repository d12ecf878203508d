"""What concerns one user alone, in SQLite: notifications, archived, muted and marked conversations."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from messaging.domain.models import Kept, Notification
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase

_NO_BOUND = 2**62


class SqliteInbox(SqliteBase):
    """`Inbox` (messaging.service.ports_inbox)."""

    async def inbox_positions(self, user_ids: Collection[str]) -> Mapping[str, int]:
        return await self._read(positions_of, user_ids)

    async def add_notifications(self, notes: Sequence[tuple[str, Notification]]) -> Sequence[Kept]:
        return await self._write(_add, notes)

    async def notifications(
        self, user_id: str, *, limit: int, before: int | None = None, unread: bool = False
    ) -> Sequence[Notification]:
        return await self._read(_newest, user_id, limit, before, unread)

    async def notifications_after(self, user_id: str, position: int, *, limit: int) -> Sequence[Notification]:
        return await self._read(_after, user_id, position, limit)

    async def unread_notifications(self, user_id: str) -> int:
        return await self._read(_count_unread, user_id)

    async def read_notifications(self, user_id: str, ids: Collection[str] | None, *, at: datetime) -> None:
        await self._write(_mark_read, user_id, ids, at)

    async def archive(self, conversation_id: str, user_id: str, archived_at: int | None) -> int | None:
        return await self._write(_set_place, conversation_id, user_id, "archived_at", archived_at)

    async def mute(self, conversation_id: str, user_id: str, muted: bool) -> int | None:
        return await self._write(_set_place, conversation_id, user_id, "muted", int(muted))

    async def mark_unread(self, conversation_id: str, user_id: str, unread_at: int | None) -> int | None:
        return await self._write(_set_place, conversation_id, user_id, "unread_at", unread_at)


# --- jobs --------------------------------------------------------------------------------------------------


def positions_of(db: sqlite3.Connection, user_ids: Collection[str]) -> Mapping[str, int]:
    found = db.execute(
        "SELECT * FROM inboxes WHERE user_id IN (SELECT value FROM json_each(?))", (rows.json_list(user_ids),)
    )
    return dict.fromkeys(user_ids, 0) | {row["user_id"]: row["position"] for row in found}


def next_position(db: sqlite3.Connection, user_id: str) -> int:
    """Count one more thing that concerns a user alone; the same job writes what it is."""
    row = db.execute(
        """
        INSERT INTO inboxes VALUES (?, 1) ON CONFLICT (user_id) DO UPDATE SET position = position + 1
        RETURNING position
        """,
        (user_id,),
    ).fetchone()
    return int(row["position"])


def _add(db: sqlite3.Connection, notes: Sequence[tuple[str, Notification]]) -> Sequence[Kept]:
    return [_add_one(db, user_id, note) for user_id, note in notes]


def _add_one(db: sqlite3.Connection, user_id: str, note: Notification) -> Kept:
    there = db.execute(
        "SELECT * FROM notifications WHERE user_id = ? AND id = ?", (user_id, note.id)
    ).fetchone()
    if there is not None:
        return Kept(notification=_notification_of(there), repeated=True)
    kept = replace(note, position=next_position(db, user_id))
    db.execute(
        "INSERT INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            *(user_id, kept.position, kept.id, kept.type, kept.title, kept.body, kept.data),
            rows.milliseconds(kept.created_at),
        ),
    )
    return Kept(notification=kept)


_NEWEST = "SELECT * FROM notifications WHERE user_id = ? AND position < ? ORDER BY position DESC LIMIT ?"
_NEWEST_UNREAD = _NEWEST.replace("ORDER", "AND read_at IS NULL ORDER")


def _newest(
    db: sqlite3.Connection, user_id: str, limit: int, before: int | None, unread: bool
) -> Sequence[Notification]:
    found = db.execute(
        _NEWEST_UNREAD if unread else _NEWEST, (user_id, _NO_BOUND if before is None else before, limit)
    )
    return [_notification_of(row) for row in found]


def _after(db: sqlite3.Connection, user_id: str, position: int, limit: int) -> Sequence[Notification]:
    found = db.execute(
        "SELECT * FROM notifications WHERE user_id = ? AND position > ? ORDER BY position LIMIT ?",
        (user_id, position, limit),
    )
    return [_notification_of(row) for row in found]


def _count_unread(db: sqlite3.Connection, user_id: str) -> int:
    (count,) = db.execute(
        "SELECT count(*) FROM notifications WHERE user_id = ? AND read_at IS NULL", (user_id,)
    ).fetchone()
    return int(count)


def _mark_read(db: sqlite3.Connection, user_id: str, ids: Collection[str] | None, at: datetime) -> None:
    db.execute(
        """
        UPDATE notifications SET read_at = ? WHERE user_id = ? AND read_at IS NULL
        AND (?3 IS NULL OR id IN (SELECT value FROM json_each(?3)))
        """,
        (rows.milliseconds(at), user_id, None if ids is None else rows.json_list(ids)),
    )


def _set_place(
    db: sqlite3.Connection,
    conversation_id: str,
    user_id: str,
    column: Literal["archived_at", "muted", "unread_at"],
    value: int | None,
) -> int | None:
    changed = db.execute(
        f"UPDATE members SET {column} = ? WHERE conversation_id = ? AND user_id = ?",  # noqa: S608 - a constant
        (value, conversation_id, user_id),
    )
    return next_position(db, user_id) if changed.rowcount else None


def _notification_of(row: sqlite3.Row) -> Notification:
    read_at = row["read_at"]
    return Notification(
        id=row["id"],
        type=row["type"],
        title=row["title"],
        body=row["body"],
        data=row["data"],
        created_at=rows.time_of(row["created_at"]),
        position=row["position"],
        read_at=None if read_at is None else rows.time_of(read_at),
    )
