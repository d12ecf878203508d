"""What clients come back to, in the SQLite database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from messaging.domain.models import ReadMark, Recovery
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


class SqliteRecoveries(SqliteBase):
    """The part of `Store` (messaging.service.ports) about recoveries, and what they look for."""

    async def add_recoveries(self, recoveries: Sequence[Recovery]) -> None:
        await self._write(_add, recoveries, datetime.now(UTC))

    async def keep_recoveries(self, recoveries: Sequence[Recovery]) -> Collection[str]:
        return await self._write(_keep, recoveries)

    async def take_recovery(self, pid: str, *, user_id: str, owner: str, at: datetime) -> Recovery | None:
        return await self._write(_take, pid, user_id, owner, at)

    async def end_recoveries(self, owners: Mapping[str, str]) -> None:
        await self._write(_end, dict(owners))

    async def marks_among(
        self, conversation_ids: Collection[str], at: datetime, *, limit: int
    ) -> Sequence[ReadMark]:
        return await self._read(_marks_among, conversation_ids, at, limit)


# Each function is one job for the writer's thread.


def _add(db: sqlite3.Connection, recoveries: Sequence[Recovery], now: datetime) -> None:
    db.execute("DELETE FROM recoveries WHERE expires_at <= ?", (rows.milliseconds(now),))
    db.executemany(
        "INSERT OR IGNORE INTO recoveries VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                r.pid,
                r.owner,
                r.user_id,
                r.dialect,
                r.sid,
                json.dumps(r.joins),
                rows.milliseconds(r.expires_at),
            )
            for r in recoveries
        ],
    )


def _keep(db: sqlite3.Connection, recoveries: Sequence[Recovery]) -> Collection[str]:
    return [each.pid for each in recoveries if not _keep_one(db, each)]


def _keep_one(db: sqlite3.Connection, recovery: Recovery) -> bool:
    kept = db.execute(
        "UPDATE recoveries SET joins = ?, expires_at = ? WHERE pid = ? AND owner = ?",
        (
            *(json.dumps(recovery.joins), rows.milliseconds(recovery.expires_at)),
            *(recovery.pid, recovery.owner),
        ),
    )
    return kept.rowcount == 1


def _take(db: sqlite3.Connection, pid: str, user_id: str, owner: str, at: datetime) -> Recovery | None:
    row = db.execute(
        "UPDATE recoveries SET owner = ? WHERE pid = ? AND user_id = ? AND expires_at > ? RETURNING *",
        (owner, pid, user_id, rows.milliseconds(at)),
    ).fetchone()
    return row and _recovery_of(row)


def _end(db: sqlite3.Connection, owners: Mapping[str, str]) -> None:
    db.executemany("DELETE FROM recoveries WHERE pid = ? AND owner = ?", list(owners.items()))


def _marks_among(
    db: sqlite3.Connection, conversation_ids: Collection[str], at: datetime, limit: int
) -> Sequence[ReadMark]:
    found = db.execute(
        """
        SELECT * FROM read_marks
        WHERE conversation_id IN (SELECT value FROM json_each(?)) AND at > ?
        ORDER BY at, seq, reader_id LIMIT ?
        """,
        (rows.json_list(conversation_ids), rows.milliseconds(at), limit),
    )
    return [rows.mark_of(row) for row in found]


def _recovery_of(row: sqlite3.Row) -> Recovery:
    return Recovery(
        pid=row["pid"],
        owner=row["owner"],
        user_id=row["user_id"],
        dialect=row["dialect"],
        sid=row["sid"],
        joins=tuple((where, seq) for where, seq in json.loads(row["joins"])),
        expires_at=rows.time_of(row["expires_at"]),
    )
