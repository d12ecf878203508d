"""What is read from the SQLite database: each function is one job for a thread of `sqlite_thread`."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence

import orjson

from messaging.domain.models import (
    Conversation,
    Member,
    Membership,
    Message,
    Position,
    Profile,
    ReadMark,
    Receipts,
    Role,
    Tail,
    User,
    Written,
)
from messaging.stores import sqlite_own as own
from messaging.stores import sqlite_rows as rows


def users(db: sqlite3.Connection, user_ids: Collection[str]) -> Mapping[str, User]:
    found = db.execute(
        "SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?))", (rows.json_list(user_ids),)
    )
    return {row["id"]: rows.user_of(row) for row in found}


def find_users(db: sqlite3.Connection, prefix: str, limit: int, after: str | None) -> Sequence[Profile]:
    key = prefix.casefold()
    found = db.execute(
        """
        SELECT * FROM users WHERE id IN (
            SELECT DISTINCT user_id FROM user_names WHERE key >= ? AND key < ? AND user_id > ?
            ORDER BY user_id LIMIT ?
        ) ORDER BY id
        """,
        (key, key + "\U0010ffff", after or "", limit),  # nothing that is a name sorts behind it
    )
    return [rows.profile_of(row) for row in found]


def conversation(db: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    row = db.execute("SELECT * FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    return row and rows.conversation_of(row)


def conversations_among(
    db: sqlite3.Connection, conversation_ids: Collection[str]
) -> Mapping[str, Conversation]:
    found = db.execute(
        "SELECT * FROM conversations WHERE id IN (SELECT value FROM json_each(?))",
        (rows.json_list(conversation_ids),),
    )
    return {row["id"]: rows.conversation_of(row) for row in found}


def roles(db: sqlite3.Connection, places: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Role]:
    question = "SELECT role FROM members WHERE conversation_id = ? AND user_id = ?"
    found = ((place, db.execute(question, place).fetchone()) for place in places)
    return {place: Role(row["role"]) for place, row in found if row is not None}


def member(db: sqlite3.Connection, conversation_id: str, user_id: str) -> Member | None:
    row = db.execute(
        """
        SELECT m.*, r.seq AS cursor, r.own_read FROM members m
        LEFT JOIN cursors r ON r.conversation_id = m.conversation_id AND r.user_id = m.user_id
        WHERE m.conversation_id = ? AND m.user_id = ?
        """,
        (conversation_id, user_id),
    ).fetchone()
    return row and rows.member_of(row)


def members(db: sqlite3.Connection, conversation_id: str, limit: int, role: Role | None) -> Sequence[Member]:
    found = db.execute(
        """
        SELECT m.*, r.seq AS cursor, r.own_read FROM members m
        LEFT JOIN cursors r ON r.conversation_id = m.conversation_id AND r.user_id = m.user_id
        WHERE m.conversation_id = ? AND (?2 IS NULL OR m.role = ?2)
        ORDER BY m.joined_at, m.user_id LIMIT ?
        """,
        (conversation_id, role, limit),
    )
    return [rows.member_of(row) for row in found]


# Looks up each conversation's last message and each sender's by index: the messages are not counted.
_MEMBERSHIPS = f"""
    SELECT m.*, c.*, r.seq AS cursor, r.own_read, l.seq AS last_seq, l.created_at AS last_at,
        ({own.last("sender_seq", "m.conversation_id", "m.user_id")}) AS own_sent
    FROM members m
    JOIN conversations c ON c.id = m.conversation_id
    LEFT JOIN cursors r ON r.conversation_id = m.conversation_id AND r.user_id = m.user_id
    LEFT JOIN messages l ON l.conversation_id = m.conversation_id AND l.seq = (
        SELECT n.seq FROM messages n WHERE n.conversation_id = m.conversation_id ORDER BY n.seq DESC LIMIT 1
    )
"""  # noqa: S608  names of ours


def memberships(db: sqlite3.Connection, user_ids: Collection[str]) -> Mapping[str, Sequence[Membership]]:
    query = _MEMBERSHIPS + "WHERE m.user_id IN (SELECT value FROM json_each(?))"  # noqa: S608  both are ours
    by_user: dict[str, list[Membership]] = {}
    for row in db.execute(query, (rows.json_list(user_ids),)):
        by_user.setdefault(row["user_id"], []).append(rows.membership_of(row))
    return by_user


def membership(db: sqlite3.Connection, conversation_id: str, user_id: str) -> Membership | None:
    query = _MEMBERSHIPS + "WHERE m.conversation_id = ? AND m.user_id = ?"
    row = db.execute(query, (conversation_id, user_id)).fetchone()
    return row and rows.membership_of(row)


def member_of(db: sqlite3.Connection, user_id: str) -> frozenset[str]:
    found = db.execute("SELECT conversation_id FROM members WHERE user_id = ?", (user_id,))
    return frozenset(row["conversation_id"] for row in found)


def message(db: sqlite3.Connection, message_id: int) -> Message | None:
    row = db.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
    return row and rows.message_of(row)


def messages(db: sqlite3.Connection, message_ids: Collection[int]) -> Mapping[int, Message]:
    found = db.execute(
        "SELECT * FROM messages WHERE id IN (SELECT value FROM json_each(?))", (rows.json_list(message_ids),)
    )
    return {row["id"]: rows.message_of(row) for row in found}


def message_by_client_id(
    db: sqlite3.Connection, conversation_id: str, sender_id: str, client_message_id: str
) -> Message | None:
    row = db.execute(
        "SELECT * FROM messages WHERE conversation_id = ? AND sender_id = ? AND client_message_id = ?",
        (conversation_id, sender_id, client_message_id),
    ).fetchone()
    return row and rows.message_of(row)


def by_client_ids(
    db: sqlite3.Connection, keys: Collection[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Message]:
    """What there is of these conversations, senders and client message ids."""
    found = [
        rows.message_of(row)
        for some in rows.portions(keys)
        for row in db.execute(
            f"""
            WITH keys (conversation, sender, given) AS ({rows.values(some)})
            SELECT m.* FROM keys CROSS JOIN messages m
            WHERE m.conversation_id = conversation AND m.sender_id = sender AND m.client_message_id = given
            """,  # noqa: S608  only question marks
            rows.flat(some),
        )
    ]
    return {(each.conversation_id, each.sender_id, each.client_message_id or ""): each for each in found}


def ends(
    db: sqlite3.Connection, places: Collection[tuple[str, str]]
) -> tuple[dict[str, int], dict[tuple[str, str], tuple[int, int]]]:
    """The last `seq` of each of these conversations that exists; its senders' last `seq` and `sender_seq`."""
    last, sent = {}, {}
    for some in rows.portions(places):
        (found,) = db.execute(
            f"""
            WITH places (conversation, sender) AS ({rows.values(some)})
            SELECT json_group_array(json_array(conversation, sender,
                (SELECT seq FROM messages WHERE conversation_id = conversation ORDER BY seq DESC LIMIT 1),
                json(({own.last("json_array(seq, sender_seq)", "conversation", "sender")}))
            )) FROM places CROSS JOIN conversations ON id = conversation
            """,  # noqa: S608  only question marks, and names of ours
            rows.flat(some),
        ).fetchone()
        for conversation_id, sender_id, last_seq, own_last in orjson.loads(found):
            last[conversation_id] = last_seq or 0
            sent[conversation_id, sender_id] = tuple(own_last) if own_last else (own.NEVER, 0)
    return last, sent


def highest_id(db: sqlite3.Connection) -> int:
    """No message has a higher id, nor had one when the text index passed it."""
    (highest,) = db.execute(
        "SELECT max(coalesce((SELECT max(id) FROM messages), 0), (SELECT up_to FROM indexed))"
    ).fetchone()
    return int(highest)


def history_after(db: sqlite3.Connection, conversation_id: str, after: int, limit: int) -> Sequence[Message]:
    found = db.execute(
        "SELECT * FROM messages WHERE conversation_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (conversation_id, after, limit),
    )
    return [rows.message_of(row) for row in found]


def history_before(
    db: sqlite3.Connection, conversation_id: str, before: int, limit: int
) -> Sequence[Message]:
    found = db.execute(
        "SELECT * FROM messages WHERE conversation_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
        (conversation_id, before, limit),
    )
    return [rows.message_of(row) for row in found][::-1]


def history_last(db: sqlite3.Connection, conversation_id: str, offset: int, limit: int) -> Sequence[Message]:
    # There are no gaps, so what stands `offset` back from the end is known without counting.
    before = last_seq(db, conversation_id) - offset + 1
    return history_before(db, conversation_id, before, limit)


def last_seq(db: sqlite3.Connection, conversation_id: str) -> int:
    row = db.execute(
        "SELECT seq FROM messages WHERE conversation_id = ? ORDER BY seq DESC LIMIT 1", (conversation_id,)
    ).fetchone()
    return row["seq"] if row else 0


def last_rev(db: sqlite3.Connection, conversation_id: str) -> int:
    row = db.execute("SELECT last_rev FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    return row["last_rev"] if row else 0


def tails(db: sqlite3.Connection, conversation_ids: Collection[str]) -> Mapping[str, Tail]:
    found = db.execute(
        """
        SELECT id, version, last_rev, (
            SELECT seq FROM messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
        ) AS last_seq
        FROM conversations c WHERE id IN (SELECT value FROM json_each(?))
        """,
        (rows.json_list(conversation_ids),),
    )
    return dict.fromkeys(conversation_ids, Tail()) | {
        row["id"]: Tail(last_seq=row["last_seq"] or 0, last_rev=row["last_rev"], version=row["version"])
        for row in found
    }


_LAST_OWN = own.last("sender_seq", "?1", "?2", "?3")
_FIRST_OWN = own.first_count("?1", "?2")


def own_sent(db: sqlite3.Connection, conversation_id: str, user_id: str, up_to: int | None) -> int:
    bound = own.NO_BOUND if up_to is None else up_to
    row = db.execute(_LAST_OWN, (conversation_id, user_id, bound)).fetchone()
    if row is not None or up_to is None:
        return row["sender_seq"] if row else 0
    (first,) = db.execute(f"SELECT {_FIRST_OWN}", (conversation_id, user_id)).fetchone()
    return first - 1 if first else 0  # what was removed before it still counts


def cursor(db: sqlite3.Connection, conversation_id: str, user_id: str) -> int:
    row = db.execute(
        "SELECT seq FROM cursors WHERE conversation_id = ? AND user_id = ?", (conversation_id, user_id)
    ).fetchone()
    return row["seq"] if row else 0


def read_marks(db: sqlite3.Connection, conversation_id: str, after: int, up_to: int) -> Sequence[ReadMark]:
    found = db.execute(
        """
        SELECT * FROM read_marks
        WHERE conversation_id = ? AND seq > ?2 AND after < ?3 AND ?2 < ?3 AND after < seq
        """,
        (conversation_id, after, up_to),
    )
    return [rows.mark_of(row) for row in found]


def authors(
    db: sqlite3.Connection, stretches: Mapping[str, tuple[int, int]]
) -> Mapping[str, Sequence[Written]]:
    question = """
        SELECT id, seq, sender_id FROM messages
        WHERE conversation_id = ? AND seq > ? AND seq <= ? ORDER BY seq
    """
    found = {
        conversation_id: [
            Written(id=row["id"], seq=row["seq"], sender_id=row["sender_id"])
            for row in db.execute(question, (conversation_id, after, up_to))
        ]
        for conversation_id, (after, up_to) in stretches.items()
    }
    return {conversation_id: each for conversation_id, each in found.items() if each}


def receipts(
    db: sqlite3.Connection, conversation_id: str, after: str | None, limit: int
) -> Sequence[Receipts]:
    found = db.execute(
        """
        SELECT m.user_id, d.seq AS delivered, r.seq AS read FROM members m
        LEFT JOIN deliveries d ON d.conversation_id = m.conversation_id AND d.user_id = m.user_id
        LEFT JOIN cursors r ON r.conversation_id = m.conversation_id AND r.user_id = m.user_id
        WHERE m.conversation_id = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?
        """,
        (conversation_id, after or "", limit),
    )
    return [rows.receipts_of(row["user_id"], row["delivered"], row["read"]) for row in found]


def invited(db: sqlite3.Connection, conversation_id: str, user_id: str) -> bool:
    found = db.execute(
        "SELECT 1 FROM invitations WHERE conversation_id = ? AND user_id = ?", (conversation_id, user_id)
    )
    return found.fetchone() is not None


def positions(db: sqlite3.Connection, user_id: str, device: str) -> Mapping[str, Position] | None:
    found = db.execute(
        """
        SELECT p.conversation_id, p.seq, p.rev FROM devices d
        LEFT JOIN positions p ON p.user_id = d.user_id AND p.device = d.device
        WHERE d.user_id = ? AND d.device = ?
        """,
        (user_id, device),
    ).fetchall()
    if not found:
        return None
    return {
        row["conversation_id"]: Position(row["seq"], row["rev"])
        for row in found
        if row["conversation_id"] is not None
    }
