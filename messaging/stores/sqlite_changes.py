"""Changes of messages in the SQLite database: each function is one job for a thread of `sqlite_thread`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from messaging.domain.models import Change, Changed, ChangeKind, Edit, Hook, Message
from messaging.stores import sqlite_hooks as hooks
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_rows as rows


def change(
    db: sqlite3.Connection, message: Message, made: Change, before: str | None, kept_with_it: Sequence[Hook]
) -> Changed | None:
    rev = reads.last_rev(db, made.conversation_id) + 1
    reacted = made.kind in (ChangeKind.REACTED, ChangeKind.UNREACTED)
    if not (_replace_reactions if reacted else _replace)(db, message, rev):
        return None
    made = replace(made, rev=rev, last_seq=reads.last_seq(db, made.conversation_id))
    if made.kind is ChangeKind.DELETED:
        db.execute("UPDATE changes SET before = NULL WHERE message_id = ?", (message.id,))
    _insert(db, made, before)
    hooks.keep(db, kept_with_it)
    db.execute("UPDATE conversations SET last_rev = ? WHERE id = ?", (rev, made.conversation_id))
    return Changed(message=replace(message, rev=rev), change=made)


def _replace(db: sqlite3.Connection, message: Message, rev: int) -> bool:
    replaced = db.execute(
        """
        UPDATE messages
        SET content = ?, attachments = ?, edited_at = ?, deleted_at = ?, reactions = ?, rev = ?
        WHERE id = ? AND rev = ?
        """,
        (
            *(message.content, rows.json_of(message.attachments)),
            *(rows.milliseconds_or_none(message.edited_at), rows.milliseconds_or_none(message.deleted_at)),
            *(rows.json_of(message.reactions), rev, message.id, message.rev),
        ),
    )
    return replaced.rowcount == 1


def _replace_reactions(db: sqlite3.Connection, message: Message, rev: int) -> bool:
    """By itself: what is found by its content need not be looked at again."""
    replaced = db.execute(
        "UPDATE messages SET reactions = ?, rev = ? WHERE id = ? AND rev = ?",
        (rows.json_of(message.reactions), rev, message.id, message.rev),
    )
    return replaced.rowcount == 1


def _insert(db: sqlite3.Connection, made: Change, before: str | None) -> None:
    db.execute(
        "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(made.conversation_id, made.rev, made.message_id, made.kind.value, made.user_id, made.emoji),
            *(rows.milliseconds(made.at), made.last_seq, before),
        ),
    )


def changes(db: sqlite3.Connection, conversation_id: str, after: int, limit: int) -> Sequence[Change]:
    found = db.execute(
        "SELECT * FROM changes WHERE conversation_id = ? AND rev > ? ORDER BY rev LIMIT ?",
        (conversation_id, after, limit),
    )
    return [rows.change_of(row) for row in found]


def rev_before(db: sqlite3.Connection, conversation_id: str, seq: int) -> int:
    row = db.execute(  # the later a change, the further its conversation's end
        """
        SELECT rev FROM changes WHERE conversation_id = ? AND last_seq < ?
        ORDER BY last_seq DESC, rev DESC LIMIT 1
        """,
        (conversation_id, seq),
    ).fetchone()
    return row["rev"] if row else 0


def edits(db: sqlite3.Connection, message_id: int, limit: int, after: int | None) -> Sequence[Edit]:
    order = "DESC" if after is None else "ASC"
    found = db.execute(
        f"""
        SELECT * FROM changes WHERE message_id = ? AND kind = ? AND before IS NOT NULL AND rev > ?
        ORDER BY rev {order} LIMIT ?
        """,  # noqa: S608  one of two words
        (message_id, ChangeKind.EDITED.value, after or 0, limit),
    )
    told = [rows.edit_of(row) for row in found]
    return told[::-1] if after is None else told
