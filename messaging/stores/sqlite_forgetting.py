"""What is kept of people in SQLite, and forgetting them.

A table that holds anything under a user's id has a row in PARTS, or its reason in KEPT; and what is not told
in an export has its reason in UNTOLD: tests see to it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from messaging.domain.forgetting import NOBODY, UPLOADS, Erasure, Record, RecordPage, RecordPlace, record_page
from messaging.domain.models import Message
from messaging.domain.values import dataclass
from messaging.stores import sqlite_own as own
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of `table` that belong to the user in `column`: how an export calls them, and how they go.

    `by_place`: the table's key begins with a conversation, so they are removed conversation by conversation.
    `secret` columns are told nobody.
    """

    table: str
    column: str = "user_id"
    shown: str | None = None
    by_place: bool = False
    secret: frozenset[str] = frozenset()


PARTS: Final = (
    Part(table="users", column="id", shown="profile"),
    Part(table="user_names"),
    Part(table="inboxes"),
    Part(table="notifications", shown="notifications"),
    Part(table="blocks", shown="blocks"),
    Part(table="blocks", column="blocked_id"),
    Part(table="devices", shown="devices"),
    Part(table="positions", shown="positions"),
    Part(table="push_subscriptions", shown="pushSubscriptions", secret=frozenset({"p256dh", "auth"})),
    Part(table="recoveries", shown="recoveries", secret=frozenset({"pid", "owner", "sid"})),
    Part(table="cursors", shown="cursors", by_place=True),
    Part(table="deliveries", shown="deliveries", by_place=True),
    Part(table="invitations", shown="invitations", by_place=True),
    Part(table="invitations", column="invited_by", shown="invited", by_place=True),
)
"""What is removed."""
KEPT: Final[Mapping[tuple[str, str], str]] = {
    ("members", "user_id"): "ended one by one, as when somebody leaves",
    ("messages", "sender_id"): "kept as a removed user's, or taken back one by one",
    ("read_marks", "reader_id"): "somebody had read it, but nobody knows who",
    ("changes", "user_id"): "what became of messages; reactions are taken back one by one",
    ("disconnections", "user_id"): "whose tokens are refused",
    ("reports", "sender_id"): "what was reported is for the host application to decide",
    ("reports", "reporter_id"): "it was reported, but nobody knows by whom",
    ("uploads", "user_id"): "kept while messages have them, else removed one by one",
    ("erasures", "user_id"): "gone when it is done",
}
"""What is not, by table and column, and why."""
_TOLD_AND_KEPT: Final = (
    Part(table="members", shown="memberships"),
    Part(table="uploads", shown=UPLOADS),
    Part(table="reports", column="reporter_id", shown="reports"),
    Part(table="disconnections", shown="disconnections"),
)
TOLD: Final = tuple(part for part in (*PARTS, *_TOLD_AND_KEPT) if part.shown is not None)
"""What an export tells, one kind after the other; besides it there are messages and reactions."""
UNTOLD: Final[Mapping[tuple[str, str], str]] = {
    ("user_names", "user_id"): "the words of the profile, to be found by",
    ("inboxes", "user_id"): "a count of changes",
    ("blocks", "blocked_id"): "a matter of who blocked them",
    ("messages", "sender_id"): "told as messages",
    ("read_marks", "reader_id"): "how far they have read is told as cursors",
    ("changes", "user_id"): "told as messages, their edits, and reactions, as they are now",
    ("reports", "sender_id"): "a matter of who reported them",
    ("erasures", "user_id"): "of somebody who is no longer there",
}
"""What an export does not tell, and why."""
_TIMES: Final = frozenset({"at", "last_seen", "seen"})
_NUMBERS: Final = frozenset({"archived_at", "unread_at"})
"""These are a `seq`, whatever they are called."""
_YES_OR_NO: Final = frozenset({"muted", "thumbnail", "ready"})
_MESSAGE_IDS: Final = frozenset({"message_id"})


class SqliteForgetting(SqliteBase):
    """`Forgetting` (messaging.service.ports_forgetting)."""

    async def records(self, user_id: str, *, after: RecordPlace | None = None, limit: int) -> RecordPage:
        return await self._search(_records, user_id, after or RecordPlace(kind=0), limit)

    async def reacted_to(self, user_id: str, *, after: int = 0, limit: int) -> Sequence[int]:
        return await self._read(_reacted_to, user_id, after, limit)

    async def conversation_ids(self, *, after: str = "", limit: int) -> Sequence[str]:
        return await self._read(_conversation_ids, after, limit)

    async def written_in(self, conversation_ids: Collection[str], user_id: str) -> frozenset[str]:
        return await self._read(written_in, conversation_ids, user_id)

    async def sent(
        self, conversation_id: str, user_id: str, *, after: int = 0, limit: int
    ) -> Sequence[Message]:
        return await self._read(sent, conversation_id, user_id, after, limit)

    async def places_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[str]:
        return await self._read(_places_of, user_id, after, limit)

    async def begin_erasure(self, user_id: str, *, messages: bool) -> None:
        await self._write(_begin, user_id, messages)

    async def erasure(self, user_id: str) -> Erasure | None:
        return await self._read(_erasure, user_id)

    async def erasures(self, *, limit: int) -> Sequence[Erasure]:
        return await self._read(_erasures, limit)

    async def note_erasure(self, erasure: Erasure, *, place: str) -> bool:
        return await self._write(_note, erasure, place)

    async def end_erasure(self, erasure: Erasure) -> bool:
        return await self._write(_end, erasure)

    async def forget_user(self, user_id: str) -> None:
        await self._write(_forget_user, user_id)

    async def forget_in(self, conversation_ids: Collection[str], user_id: str) -> None:
        await self._write(_forget_in, conversation_ids, user_id)


def _records(db: sqlite3.Connection, user_id: str, place: RecordPlace, limit: int) -> RecordPage:
    part = TOLD[place.kind]
    keys = _keys(db, part.table)
    columns = ", ".join(keys)
    past = f"AND ({columns}) > ({', '.join('?' * len(keys))})" if place.key else ""
    found = db.execute(
        f"SELECT * FROM {part.table} WHERE {part.column} = ? {past} ORDER BY {columns} LIMIT ?",  # noqa: S608, names of ours
        (user_id, *place.key, limit),
    ).fetchall()
    records = [Record(kind=part.shown or "", values=_told(part, row)) for row in found]
    last = tuple(found[-1][key] for key in keys) if found else ()
    return record_page(records, place, last, full=len(found) == limit, kinds=len(TOLD))


def _keys(db: sqlite3.Connection, table: str) -> Sequence[str]:
    """The columns of a table's primary key, in its order."""
    found = db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    return [row["name"] for row in found]


def _told(part: Part, row: sqlite3.Row) -> Mapping[str, Any]:
    return {
        rows.camel(name): _json(part, name, row[name])
        for name in row.keys()  # noqa: SIM118, a row goes through its values
        if row[name] is not None and name not in part.secret
    }


def _json(part: Part, name: str, value: Any) -> Any:
    if name in _YES_OR_NO:
        return bool(value)
    if name == "joins":
        return [{"conversationId": where, "after": seq} for where, seq in json.loads(value)]
    if name in _MESSAGE_IDS or (name == "id" and part.table == "reports"):
        return str(value)
    is_time = name not in _NUMBERS and (name in _TIMES or name.endswith(("_at", "_before")))
    return rows.time_of(value) if is_time and isinstance(value, int) else value


def _reacted_to(db: sqlite3.Connection, user_id: str, after: int, limit: int) -> list[int]:
    found = db.execute(
        """
        SELECT DISTINCT message_id FROM changes WHERE user_id = ? AND kind = 'reacted' AND message_id > ?
        ORDER BY message_id LIMIT ?
        """,
        (user_id, after, limit),
    )
    return [row["message_id"] for row in found]


def _conversation_ids(db: sqlite3.Connection, after: str, limit: int) -> list[str]:
    found = db.execute("SELECT id FROM conversations WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [row["id"] for row in found]


def written_in(db: sqlite3.Connection, conversation_ids: Collection[str], user_id: str) -> frozenset[str]:
    found = db.execute(
        f"SELECT value AS id FROM json_each(?1) WHERE {own.first_count('value', '?2')} IS NOT NULL",  # noqa: S608, names of ours
        (rows.json_list(conversation_ids), user_id),
    )
    return frozenset(row["id"] for row in found)


def sent(db: sqlite3.Connection, conversation_id: str, user_id: str, after: int, limit: int) -> list[Message]:
    found = db.execute(
        f"SELECT * FROM messages WHERE id IN ({own.ids_after('?1', '?2', '?3', '?4')}) ORDER BY seq LIMIT ?4",  # noqa: S608, names of ours
        (conversation_id, user_id, after, limit),
    )
    return [rows.message_of(row) for row in found]


def _places_of(db: sqlite3.Connection, user_id: str, after: str, limit: int) -> list[str]:
    found = db.execute(
        """
        SELECT conversation_id FROM members WHERE user_id = ? AND conversation_id > ?
        ORDER BY conversation_id LIMIT ?
        """,
        (user_id, after, limit),
    )
    return [row["conversation_id"] for row in found]


def _begin(db: sqlite3.Connection, user_id: str, messages: bool) -> None:
    db.execute(
        """
        INSERT INTO erasures (user_id, messages) VALUES (?, ?)
        ON CONFLICT (user_id) DO UPDATE SET
            messages = max(messages, excluded.messages), place = '', round = round + 1
        """,
        (user_id, messages),
    )


def _erasure(db: sqlite3.Connection, user_id: str) -> Erasure | None:
    row = db.execute("SELECT * FROM erasures WHERE user_id = ?", (user_id,)).fetchone()
    return row and _erasure_of(row)


def _erasures(db: sqlite3.Connection, limit: int) -> list[Erasure]:
    found = db.execute("SELECT * FROM erasures ORDER BY user_id LIMIT ?", (limit,))
    return [_erasure_of(row) for row in found]


def _erasure_of(row: sqlite3.Row) -> Erasure:
    return Erasure(
        user_id=row["user_id"], messages=bool(row["messages"]), place=row["place"], round=row["round"]
    )


def _note(db: sqlite3.Connection, erasure: Erasure, place: str) -> bool:
    noted = db.execute(
        "UPDATE erasures SET place = ? WHERE user_id = ? AND round = ?",
        (place, erasure.user_id, erasure.round),
    )
    return noted.rowcount == 1


def _end(db: sqlite3.Connection, erasure: Erasure) -> bool:
    ended = db.execute(
        "DELETE FROM erasures WHERE user_id = ? AND round = ?", (erasure.user_id, erasure.round)
    )
    return ended.rowcount == 1


def _forget_user(db: sqlite3.Connection, user_id: str) -> None:
    for part in PARTS:
        if not part.by_place:
            db.execute(f"DELETE FROM {part.table} WHERE {part.column} = ?", (user_id,))  # noqa: S608, names of ours
    # Of two who reported the same message and are gone, one report is enough.
    db.execute("UPDATE OR IGNORE reports SET reporter_id = ? WHERE reporter_id = ?", (NOBODY, user_id))
    db.execute("DELETE FROM reports WHERE reporter_id = ?", (user_id,))


def _forget_in(db: sqlite3.Connection, conversation_ids: Collection[str], user_id: str) -> None:
    places = rows.json_list(conversation_ids)
    here = "conversation_id IN (SELECT value FROM json_each(?))"
    for part in PARTS:
        if part.by_place:
            db.execute(f"DELETE FROM {part.table} WHERE {here} AND {part.column} = ?", (places, user_id))  # noqa: S608, names of ours
    mine = f"{here} AND reader_id = ?"
    db.execute(f"UPDATE OR IGNORE read_marks SET reader_id = ? WHERE {mine}", (NOBODY, places, user_id))  # noqa: S608
    db.execute(f"DELETE FROM read_marks WHERE {mine}", (places, user_id))  # noqa: S608
