"""Running the service, in SQLite: who was sent away, leases, and what webhooks still have to tell."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from messaging.domain.models import Disconnection, Hook
from messaging.stores import sqlite_hooks as jobs
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase

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
        await self._write(jobs.keep, list(hooks))

    async def hook_lanes(self, *, after: str, limit: int) -> Sequence[str]:
        return await self._read(jobs.lanes, after, limit)

    async def hooks(self, lane: str, *, limit: int) -> Sequence[Hook]:
        return await self._read(jobs.kept_in, lane, limit)

    async def drop_hooks(self, hooks: Sequence[Hook]) -> None:
        await self._write(jobs.drop, list(hooks))


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
