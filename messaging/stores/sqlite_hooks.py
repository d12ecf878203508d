"""What webhooks still have to tell, in the SQLite database: each function is one job for `sqlite_thread`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from messaging.domain.models import Hook
from messaging.service.hooks import MESSAGE_CREATED
from messaging.stores import sqlite_rows as rows


def keep(db: sqlite3.Connection, hooks: Sequence[Hook]) -> None:
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


def lanes(db: sqlite3.Connection, after: str, limit: int) -> list[str]:
    found: list[str] = []
    while len(found) < limit and (lane := _next_lane(db, found[-1] if found else after)) is not None:
        found.append(lane)
    return found


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


def kept_in(db: sqlite3.Connection, lane: str, limit: int) -> list[Hook]:
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
        type=MESSAGE_CREATED,
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


def drop(db: sqlite3.Connection, hooks: Sequence[Hook]) -> None:
    for each in hooks:
        if each.message is not None:
            place = (each.message.conversation_id, each.message.seq)
            db.execute("DELETE FROM message_hooks WHERE conversation_id = ? AND seq = ?", place)
        else:
            db.execute("DELETE FROM hooks WHERE lane = ? AND id = ?", (each.lane, each.id))
