"""What users do about one another, in SQLite: blocks and reports."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from messaging.domain.models import Hook
from messaging.domain.moderation import Block, Report, blocked_with_each
from messaging.service.ports_moderation import Positions
from messaging.stores import sqlite_hooks
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase
from messaging.stores.sqlite_inbox import next_position

_NO_BOUND = 2**62


class SqliteModeration(SqliteBase):
    """`Moderation` (messaging.service.ports_moderation)."""

    async def block(
        self, user_id: str, blocked_id: str, *, at: datetime, seen: datetime | None = None
    ) -> Positions | None:
        return await self._write(_block, user_id, blocked_id, at, seen)

    async def unblock(self, user_id: str, blocked_id: str) -> Positions | None:
        return await self._write(_unblock, user_id, blocked_id)

    async def find_block(self, user_id: str, blocked_id: str) -> Block | None:
        return await self._read(_find, user_id, blocked_id)

    async def blocks(self, user_id: str, *, limit: int, after: str | None = None) -> Sequence[Block]:
        return await self._read(_blocks, user_id, limit, after or "")

    async def count_blocks(self, user_id: str) -> int:
        return await self._read(_count, user_id)

    async def blocked_between(self, one: str, other: str) -> bool:
        return await self._read(_between, one, other)

    async def blocked_with(self, user_id: str) -> frozenset[str]:
        return (await self._read(blocks_of, [user_id])).get(user_id, frozenset())

    async def blocked_with_each(self, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        return await self._read(blocks_of, user_ids)

    async def add_report(self, report: Report, *, hooks: Sequence[Hook] = ()) -> Report:
        return await self._write(_add_report, report, hooks)

    async def reports(self, *, limit: int, before: int | None = None) -> Sequence[Report]:
        return await self._read(_reports, limit, _NO_BOUND if before is None else before)


# --- blocks ------------------------------------------------------------------------------------------------


def _block(
    db: sqlite3.Connection, user_id: str, blocked_id: str, at: datetime, seen: datetime | None
) -> Positions | None:
    kept = db.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (user_id, blocked_id, rows.milliseconds(at), rows.milliseconds_or_none(seen)),
    )
    return _positions(db, user_id, blocked_id) if kept.rowcount else None


def _unblock(db: sqlite3.Connection, user_id: str, blocked_id: str) -> Positions | None:
    gone = db.execute("DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?", (user_id, blocked_id))
    return _positions(db, user_id, blocked_id) if gone.rowcount else None


def _positions(db: sqlite3.Connection, user_id: str, other_id: str) -> Positions:
    return Positions(next_position(db, user_id), next_position(db, other_id))


def _find(db: sqlite3.Connection, user_id: str, blocked_id: str) -> Block | None:
    row = db.execute(
        "SELECT * FROM blocks WHERE user_id = ? AND blocked_id = ?", (user_id, blocked_id)
    ).fetchone()
    return row and _block_of(row)


def _blocks(db: sqlite3.Connection, user_id: str, limit: int, after: str) -> Sequence[Block]:
    found = db.execute(
        "SELECT * FROM blocks WHERE user_id = ? AND blocked_id > ? ORDER BY blocked_id LIMIT ?",
        (user_id, after, limit),
    )
    return [_block_of(row) for row in found]


def _count(db: sqlite3.Connection, user_id: str) -> int:
    (count,) = db.execute("SELECT count(*) FROM blocks WHERE user_id = ?", (user_id,)).fetchone()
    return int(count)


def _between(db: sqlite3.Connection, one: str, other: str) -> bool:
    return _find(db, one, other) is not None or _find(db, other, one) is not None


def blocks_of(db: sqlite3.Connection, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
    found = db.execute(
        """
        SELECT user_id, blocked_id FROM blocks WHERE user_id IN (SELECT value FROM json_each(?1))
        UNION SELECT user_id, blocked_id FROM blocks WHERE blocked_id IN (SELECT value FROM json_each(?1))
        """,
        (rows.json_list(user_ids),),
    )
    return blocked_with_each(user_ids, [(row[0], row[1]) for row in found])


def _block_of(row: sqlite3.Row) -> Block:
    return Block(
        user_id=row["user_id"],
        blocked_id=row["blocked_id"],
        at=rows.time_of(row["at"]),
        seen=None if row["seen"] is None else rows.time_of(row["seen"]),
    )


# --- reports -----------------------------------------------------------------------------------------------


def _add_report(db: sqlite3.Connection, report: Report, kept_with_it: Sequence[Hook]) -> Report:
    there = db.execute(
        "SELECT * FROM reports WHERE message_id = ? AND reporter_id = ?",
        (report.message_id, report.reporter_id),
    ).fetchone()
    if there is not None:
        return _report_of(there)
    sqlite_hooks.keep(db, kept_with_it)
    db.execute(
        "INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(report.id, report.message_id, report.conversation_id, report.seq, report.sender_id),
            *(report.content, rows.milliseconds(report.sent_at), report.reporter_id, report.reason),
            rows.milliseconds(report.at),
        ),
    )
    return report


def _reports(db: sqlite3.Connection, limit: int, before: int) -> Sequence[Report]:
    found = db.execute("SELECT * FROM reports WHERE id < ? ORDER BY id DESC LIMIT ?", (before, limit))
    return [_report_of(row) for row in found]


def _report_of(row: sqlite3.Row) -> Report:
    return Report(
        id=row["id"],
        message_id=row["message_id"],
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        sender_id=row["sender_id"],
        content=row["content"],
        sent_at=rows.time_of(row["sent_at"]),
        reporter_id=row["reporter_id"],
        reason=row["reason"],
        at=rows.time_of(row["at"]),
    )
