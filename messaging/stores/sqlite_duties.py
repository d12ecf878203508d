"""Running the service, in SQLite: who was sent away, leases, and what webhooks still have to tell."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from messaging.domain.models import Disconnection, Hook
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase

_MESSAGE_CREATED = "message.created"
_FULL = 2
"""`PRAGMA synchronous`: what is committed is on disk."""


class SqliteDuties(SqliteBase):
    """`Duties` (messaging.service.duties)."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # Not in the database: there is one server for each, and none of an earlier one is left.
        self._leases: dict[str, tuple[str, float]] = {}

    async def about(self) -> str:
        return await self._write(_about)

    async def disconnect(self, user_id: str, *, revoked_before: datetime | None) -> Disconnection:
        return await self._write(_disconnect, user_id, revoked_before)

    async def disconnections(self, *, after: int, limit: int) -> Sequence[Disconnection]:
        return await self._read(_disconnections, after, limit)

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        now = time.monotonic()
        owner, until = self._leases.get(name, (holder, 0.0))
        if owner != holder and until > now:
            return False
        self._leases[name] = (holder, now + seconds)
        return True

    async def keep_hooks(self, hooks: Sequence[Hook]) -> None:
        await self._write(_keep_hooks, list(hooks))

    async def hook_lanes(self, *, after: str, limit: int) -> Sequence[str]:
        return await self._read(_hook_lanes, after, limit)

    async def hooks(self, lane: str, *, limit: int) -> Sequence[Hook]:
        return await self._read(_hooks, lane, limit)

    async def drop_hooks(self, hooks: Sequence[Hook]) -> None:
        await self._write(_drop_hooks, list(hooks))


def _about(db: sqlite3.Connection) -> str:
    (journal,) = db.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = db.execute("PRAGMA synchronous").fetchone()
    durable = "every write on disk" if synchronous >= _FULL else "the last writes may be lost"
    return f"SQLite {sqlite3.sqlite_version}, journal {journal}, {durable}"


def _disconnect(db: sqlite3.Connection, user_id: str, revoked_before: datetime | None) -> Disconnection:
    before = None if revoked_before is None else rows.milliseconds(revoked_before)
    row = db.execute(
        """
        INSERT INTO disconnections
        VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM disconnections), ?2)
        ON CONFLICT (user_id) DO UPDATE SET
            number = excluded.number,
            revoked_before = nullif(max(coalesce(revoked_before, 0), coalesce(excluded.revoked_before, 0)), 0)
        RETURNING *
        """,
        (user_id, before),
    ).fetchone()
    return _disconnection_of(row)


def _disconnections(db: sqlite3.Connection, after: int, limit: int) -> list[Disconnection]:
    found = db.execute(
        "SELECT * FROM disconnections WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
    )
    return [_disconnection_of(row) for row in found]


def _disconnection_of(row: sqlite3.Row) -> Disconnection:
    before = row["revoked_before"]
    return Disconnection(
        user_id=row["user_id"],
        number=row["number"],
        revoked_before=None if before is None else rows.time_of(before),
    )


def _keep_hooks(db: sqlite3.Connection, hooks: Sequence[Hook]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO hooks VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                each.lane,
                each.id,
                each.type,
                rows.milliseconds(each.at),
                each.data,
                each.message_id,
                each.trace,
            )
            for each in hooks
        ],
    )


def _hook_lanes(db: sqlite3.Connection, after: str, limit: int) -> list[str]:
    lanes: list[str] = []
    while len(lanes) < limit and (lane := _next_lane(db, lanes[-1] if lanes else after)) is not None:
        lanes.append(lane)
    return lanes


def _next_lane(db: sqlite3.Connection, after: str) -> str | None:
    found = db.execute(
        """
        SELECT min(lane) AS lane FROM (
            SELECT min(conversation_id) AS lane FROM message_hooks WHERE conversation_id > ?1
            UNION ALL SELECT min(lane) FROM hooks WHERE lane > ?1
        )
        """,
        (after,),
    )
    lane: str | None = found.fetchone()["lane"]
    return lane


def _hooks(db: sqlite3.Connection, lane: str, limit: int) -> list[Hook]:
    messages = db.execute(
        """
        SELECT messages.*, message_hooks.trace FROM message_hooks
        JOIN messages ON messages.id = message_hooks.message_id
        WHERE message_hooks.conversation_id = ? ORDER BY message_hooks.seq LIMIT ?
        """,
        (lane, limit),
    )
    others = db.execute("SELECT * FROM hooks WHERE lane = ? ORDER BY id LIMIT ?", (lane, limit))
    return [*map(_message_hook_of, messages), *map(_hook_of, others)]


def _message_hook_of(row: sqlite3.Row) -> Hook:
    message = rows.message_of(row)
    return Hook(
        id=message.id,
        lane=message.conversation_id,
        type=_MESSAGE_CREATED,
        at=message.created_at,
        message_id=message.id,
        message=message,
        trace=row["trace"],
    )


def _hook_of(row: sqlite3.Row) -> Hook:
    return Hook(
        id=row["id"],
        lane=row["lane"],
        type=row["type"],
        at=rows.time_of(row["at"]),
        data=row["data"],
        message_id=row["message_id"],
        trace=row["trace"],
    )


def _drop_hooks(db: sqlite3.Connection, hooks: Sequence[Hook]) -> None:
    for each in hooks:
        if each.message is not None:
            place = (each.message.conversation_id, each.message.seq)
            db.execute("DELETE FROM message_hooks WHERE conversation_id = ? AND seq = ?", place)
        else:
            db.execute("DELETE FROM hooks WHERE lane = ? AND id = ?", (each.lane, each.id))
