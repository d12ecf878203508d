"""Where conversations end, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from messaging.domain.models import ReadMark
from messaging.domain.pages import End
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


def ends(db: sqlite3.Connection, after: Mapping[str, int | None]) -> Mapping[str, End]:
    """See `Ends.ends`."""
    found = db.execute(
        """
        SELECT *, (
            SELECT seq FROM messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
        ) AS last_seq
        FROM conversations c WHERE id IN (SELECT value FROM json_each(?))
        """,
        (rows.json_list(after),),
    )
    return {
        row["id"]: End(
            conversation=rows.conversation_of(row),
            last_seq=row["last_seq"] or 0,
            last_rev=row["last_rev"],
            marks=_marks(db, row["id"], after[row["id"]]),
        )
        for row in found
    }


def _marks(db: sqlite3.Connection, conversation_id: str, after: int | None) -> tuple[ReadMark, ...]:
    if after is None:
        return ()
    found = db.execute(
        """
        SELECT * FROM read_marks WHERE conversation_id = ? AND seq > ? AND after < seq
        ORDER BY seq, after, reader_id
        """,
        (conversation_id, after),
    )
    return tuple(rows.mark_of(row) for row in found)


class SqliteEnds(SqliteBase):
    """`Ends` (messaging.service.ports_ends)."""

    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        return await self._read(ends, dict(after))
