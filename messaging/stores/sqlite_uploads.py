"""What is known of uploads, in SQLite."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from messaging.domain.uploads import Attached, Upload
from messaging.service.ports_uploads import KEY_BYTES
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


class SqliteUploads(SqliteBase):
    """`Uploads` (messaging.service.ports_uploads)."""

    async def keep_upload(self, upload: Upload) -> None:
        await self._write(_keep, upload)

    async def change_upload(self, upload: Upload) -> bool:
        return await self._write(_change, upload)

    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, Upload]:
        return await self._read(_find, tuple(upload_ids)) if upload_ids else {}

    async def uploaded_bytes(self, user_id: str) -> int:
        return await self._read(_bytes, user_id)

    async def uploads_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[Upload]:
        return await self._read(_of_user, user_id, after, limit)

    async def attach(self, places: Sequence[Attached]) -> None:
        await self._write(_attach, places)

    async def attached(self, upload_id: str) -> Sequence[Attached]:
        return await self._read(_attached, upload_id)

    async def detach(self, places: Sequence[Attached]) -> None:
        await self._write(_detach, places)

    async def unchecked_uploads(self, *, before: datetime, limit: int) -> Sequence[Upload]:
        return await self._read(_unchecked, rows.milliseconds(before), limit)

    async def check_upload(self, upload_id: str, *, at: datetime) -> None:
        await self._write(_check, upload_id, rows.milliseconds(at))

    async def drop_upload(self, upload_id: str) -> None:
        await self._write(_drop, upload_id)

    async def shared_key(self, name: str) -> bytes:
        return await self._write(_shared_key, name)


def _keep(db: sqlite3.Connection, upload: Upload) -> None:
    made = rows.milliseconds(upload.created_at)
    db.execute(
        """
        INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET
            file_name = excluded.file_name, file_size = excluded.file_size, mime_type = excluded.mime_type,
            width = excluded.width, height = excluded.height, thumbnail = excluded.thumbnail,
            ready = excluded.ready
        """,
        (
            upload.id,
            upload.user_id,
            upload.file_name,
            upload.file_size,
            upload.mime_type,
            upload.width,
            upload.height,
            upload.thumbnail,
            upload.ready,
            made,
            made,
        ),
    )


def _change(db: sqlite3.Connection, upload: Upload) -> bool:
    if not _find(db, [upload.id]):
        return False
    _keep(db, upload)
    return True


def _find(db: sqlite3.Connection, upload_ids: Sequence[str]) -> dict[str, Upload]:
    marks = ", ".join("?" * len(upload_ids))
    found = db.execute(f"SELECT * FROM uploads WHERE id IN ({marks})", upload_ids)  # noqa: S608  only marks
    return {row["id"]: _upload_of(row) for row in found}


def _bytes(db: sqlite3.Connection, user_id: str) -> int:
    found = db.execute("SELECT coalesce(sum(file_size), 0) FROM uploads WHERE user_id = ?", (user_id,))
    (total,) = found.fetchone()
    return int(total)


def _of_user(db: sqlite3.Connection, user_id: str, after: str, limit: int) -> list[Upload]:
    found = db.execute(
        "SELECT * FROM uploads WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?", (user_id, after, limit)
    )
    return [_upload_of(row) for row in found]


def _attach(db: sqlite3.Connection, places: Sequence[Attached]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO attached VALUES (?, ?, ?)",
        [(each.upload_id, each.message_id, each.conversation_id) for each in places],
    )


def _attached(db: sqlite3.Connection, upload_id: str) -> list[Attached]:
    found = db.execute("SELECT * FROM attached WHERE upload_id = ?", (upload_id,))
    return [
        Attached(
            upload_id=row["upload_id"], conversation_id=row["conversation_id"], message_id=row["message_id"]
        )
        for row in found
    ]


def _detach(db: sqlite3.Connection, places: Sequence[Attached]) -> None:
    db.executemany(
        "DELETE FROM attached WHERE upload_id = ? AND message_id = ?",
        [(each.upload_id, each.message_id) for each in places],
    )


def _unchecked(db: sqlite3.Connection, before: int, limit: int) -> list[Upload]:
    found = db.execute(
        "SELECT * FROM uploads WHERE checked_at < ? ORDER BY checked_at LIMIT ?", (before, limit)
    )
    return [_upload_of(row) for row in found]


def _check(db: sqlite3.Connection, upload_id: str, at: int) -> None:
    db.execute("UPDATE uploads SET checked_at = ? WHERE id = ?", (at, upload_id))


def _drop(db: sqlite3.Connection, upload_id: str) -> None:
    db.execute("DELETE FROM attached WHERE upload_id = ?", (upload_id,))
    db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def _shared_key(db: sqlite3.Connection, name: str) -> bytes:
    db.execute("INSERT OR IGNORE INTO shared_keys VALUES (?, ?)", (name, secrets.token_bytes(KEY_BYTES)))
    (value,) = db.execute("SELECT value FROM shared_keys WHERE name = ?", (name,)).fetchone()
    return bytes(value)


def _upload_of(row: sqlite3.Row) -> Upload:
    return Upload(
        id=row["id"],
        user_id=row["user_id"],
        file_name=row["file_name"],
        file_size=row["file_size"],
        mime_type=row["mime_type"],
        width=row["width"],
        height=row["height"],
        thumbnail=bool(row["thumbnail"]),
        ready=bool(row["ready"]),
        created_at=rows.time_of(row["created_at"]),
    )
