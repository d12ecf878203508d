"""What is written to the SQLite database: each function is one job for the writer of `sqlite_thread`.

A job may be undone and run again, so it keeps nothing outside the database, but for what its connection
forgets by itself when the job is undone (`sqlite_writer`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import orjson

from messaging.domain.errors import ClientError, RoomNotFound
from messaging.domain.ids import INBOX
from messaging.domain.models import (
    Appended,
    Conversation,
    Draft,
    Hook,
    Member,
    Message,
    Position,
    Profile,
    ReadMark,
    Status,
)
from messaging.stores import sqlite_hooks as hooks
from messaging.stores import sqlite_own as own
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_rows as rows
from messaging.stores import sqlite_search as search
from messaging.stores.sqlite_writer import Writer

_ID_SPREAD = 1 << 16  # about sixteen milliseconds of ids: a replaced id stays roughly in order


def ping(db: sqlite3.Connection) -> None:
    db.execute("UPDATE pings SET count = count + 1 WHERE id = 1")


# --- users -------------------------------------------------------------------------------------------------


def put_user(db: sqlite3.Connection, profile: Profile) -> bool:
    known = reads.users(db, [profile.id]).get(profile.id)
    if known is None or known.profile != profile:  # most sign-ins change nothing, and then nothing is written
        _write_profile(db, profile)
    return known is None


def put_users(db: sqlite3.Connection, profiles: Sequence[Profile]) -> Sequence[bool]:
    return [put_user(db, profile) for profile in profiles]


def _write_profile(db: sqlite3.Connection, profile: Profile) -> None:
    fields = ("id", "username", "name", "first_name", "last_name", "salon_name", "image", "role", "email")
    db.execute(
        """
        INSERT INTO users VALUES (
            :id, :username, :name, :first_name, :last_name, :salon_name, :image, :role, :email, 'online', NULL
        )
        ON CONFLICT (id) DO UPDATE SET
            username = :username, name = :name, first_name = :first_name, last_name = :last_name,
            salon_name = :salon_name, image = :image, role = :role, email = :email
        """,
        {field: getattr(profile, field) for field in fields},
    )
    db.execute("DELETE FROM user_names WHERE user_id = ?", (profile.id,))
    names = (profile.username, profile.name, profile.first_name, profile.last_name, profile.salon_name)
    keys = {name.casefold() for name in (profile.id, *names) if name is not None}
    db.executemany("INSERT INTO user_names VALUES (?, ?)", [(key, profile.id) for key in keys])


def set_status(db: sqlite3.Connection, user_id: str, status: Status) -> None:
    db.execute("UPDATE users SET status = ? WHERE id = ?", (status.value, user_id))


def set_last_seen(db: sqlite3.Connection, seen: Mapping[str, datetime]) -> None:
    db.executemany(
        "UPDATE users SET last_seen = ?1 WHERE id = ?2 AND (last_seen IS NULL OR last_seen < ?1)",
        [(rows.milliseconds(at), user_id) for user_id, at in seen.items()],
    )


# --- conversations -----------------------------------------------------------------------------------------


def save(
    db: sqlite3.Connection,
    conversation: Conversation,
    put: Sequence[Member],
    remove: Collection[str],
    kept_with_it: Sequence[Hook],
) -> bool:
    if not _save_version(db, conversation):
        return False
    hooks.keep(db, kept_with_it)
    db.executemany(
        "DELETE FROM members WHERE conversation_id = ? AND user_id = ?",
        [(conversation.id, user_id) for user_id in remove],
    )
    for member in put:
        _put_member(db, conversation.id, member)
    for user_id in {member.user_id for member in put}.union(remove):
        uninvite(db, conversation.id, user_id)
    return True


def _save_version(db: sqlite3.Connection, conversation: Conversation) -> bool:
    values = rows.conversation_row(conversation)
    if conversation.version == 1:
        saved = db.execute(
            """
            INSERT INTO conversations (
                id, kind, name, private, created_at, updated_at, version, member_count, retention_days
            )
            VALUES (
                :id, :kind, :name, :private, :created_at, :updated_at, :version, :member_count,
                :retention_days
            )
            ON CONFLICT (id) DO NOTHING
            """,
            values,
        )
    else:
        saved = db.execute(
            """
            UPDATE conversations SET
                kind = :kind, name = :name, private = :private, created_at = :created_at,
                updated_at = :updated_at, version = :version, member_count = :member_count,
                retention_days = :retention_days
            WHERE id = :id AND version = :version - 1
            """,
            values,
        )
    return saved.rowcount == 1


def _put_member(db: sqlite3.Connection, conversation_id: str, member: Member) -> None:
    place = (conversation_id, member.user_id)
    changed = db.execute(
        "UPDATE members SET role = ? WHERE conversation_id = ? AND user_id = ?", (member.role.value, *place)
    )
    if changed.rowcount:
        return
    db.execute(
        """
        INSERT INTO members (conversation_id, user_id, role, joined_at, muted, archived_at, unread_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (
            *(*place, member.role.value, rows.milliseconds(member.joined_at)),
            *(member.muted, member.archived_at, member.unread_at),
        ),
    )
    _raise_cursor(db, *place, member.cursor, member.own_read)


def delete(db: sqlite3.Connection, conversation_id: str, kept_with_it: Sequence[Hook]) -> bool:
    deleted = db.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,)).rowcount == 1
    if deleted:
        hooks.keep(db, kept_with_it)
        db.execute("DELETE FROM members WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM cursors WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM read_marks WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM invitations WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM positions WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM deliveries WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM changes WHERE conversation_id = ?", (conversation_id,))
        db.execute("DELETE FROM messages WHERE conversation_id = ?", (conversation_id,))
    return deleted


# --- reads -------------------------------------------------------------------------------------------------


def mark_read(db: sqlite3.Connection, mark: ReadMark, own_read: int, keep: bool) -> int | None:
    if reads.conversation(db, mark.conversation_id) is None:  # a cursor must not wait for a later namesake
        return None
    previous = reads.cursor(db, mark.conversation_id, mark.reader_id)
    if not _raise_cursor(db, mark.conversation_id, mark.reader_id, mark.seq, own_read):
        return None
    if keep:
        values = (mark.conversation_id, mark.seq, mark.reader_id, mark.after, rows.milliseconds(mark.at))
        db.execute("INSERT OR IGNORE INTO read_marks VALUES (?, ?, ?, ?, ?)", values)
    return previous


def _raise_cursor(
    db: sqlite3.Connection, conversation_id: str, user_id: str, seq: int, own_read: int
) -> bool:
    raised = db.execute(
        """
        INSERT INTO cursors SELECT ?, ?, ?3, ? WHERE ?3 > 0
        ON CONFLICT (conversation_id, user_id)
        DO UPDATE SET seq = excluded.seq, own_read = excluded.own_read WHERE excluded.seq > seq
        """,
        (conversation_id, user_id, seq, own_read),
    )
    return raised.rowcount == 1


def mark_delivered(
    db: sqlite3.Connection, reached: Mapping[str, Mapping[str, int]], at: datetime
) -> Mapping[str, Mapping[str, int]]:
    told = [(each, user_id, seq) for each, cursors in reached.items() for user_id, seq in cursors.items()]
    (higher,) = db.execute(
        """
        WITH told AS MATERIALIZED (
            SELECT json_extract(value, '$[0]') AS conversation, json_extract(value, '$[1]') AS user,
                json_extract(value, '$[2]') AS reached
            FROM json_each(?)
        )
        SELECT json_group_array(json_array(conversation, user, reached, coalesce(seq, 0)))
        FROM told CROSS JOIN conversations ON id = conversation
        LEFT JOIN deliveries ON conversation_id = conversation AND user_id = user
        WHERE reached > coalesce(seq, 0)
        """,
        (orjson.dumps(told).decode(),),
    ).fetchone()
    raised: dict[str, dict[str, int]] = {}
    for conversation_id, user_id, _, before in orjson.loads(higher):
        raised.setdefault(conversation_id, {})[user_id] = before
    db.execute(
        """
        INSERT INTO deliveries
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), ?
        FROM json_each(?) WHERE true
        ON CONFLICT (conversation_id, user_id) DO UPDATE SET seq = excluded.seq, at = excluded.at
        """,
        (rows.milliseconds(at), higher),
    )
    return raised


# --- invitations -------------------------------------------------------------------------------------------


def invite(db: sqlite3.Connection, conversation_id: str, user_id: str, by: str, at: datetime) -> bool:
    kept = db.execute(  # an invitation must not wait for a later namesake either
        """
        INSERT INTO invitations SELECT id, ?, ?, ? FROM conversations WHERE id = ?
        ON CONFLICT (conversation_id, user_id) DO NOTHING
        """,
        (user_id, by, rows.milliseconds(at), conversation_id),
    )
    return kept.rowcount == 1


def uninvite(db: sqlite3.Connection, conversation_id: str, user_id: str) -> bool:
    revoked = db.execute(
        "DELETE FROM invitations WHERE conversation_id = ? AND user_id = ?", (conversation_id, user_id)
    )
    return revoked.rowcount == 1


# --- devices -----------------------------------------------------------------------------------------------


def keep_positions(
    db: sqlite3.Connection, user_id: str, device: str, positions: Mapping[str, Position], at: datetime
) -> None:
    for each in {device, ""}:
        db.execute(
            """
            INSERT INTO devices VALUES (?, ?, ?)
            ON CONFLICT (user_id, device)
            DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > seen_at
            """,
            (user_id, each, rows.milliseconds(at)),
        )
        db.executemany(  # nor must a position, past which a namesake's first messages would be left out
            """
            INSERT INTO positions SELECT ?1, ?2, ?5, ?3, ?4
            WHERE ?5 = ?6 OR EXISTS (SELECT 1 FROM conversations WHERE id = ?5)
            ON CONFLICT (user_id, device, conversation_id)
            DO UPDATE SET seq = max(seq, excluded.seq), rev = max(rev, excluded.rev)
            """,
            [
                (user_id, each, position.seq, position.rev, where, INBOX)
                for where, position in positions.items()
            ],
        )


def forget_devices(db: sqlite3.Connection, unseen_since: datetime) -> None:
    time = (rows.milliseconds(unseen_since),)
    db.execute(
        """
        DELETE FROM positions
        WHERE (user_id, device) IN (SELECT user_id, device FROM devices WHERE seen_at < ?)
        """,
        time,
    )
    db.execute("DELETE FROM devices WHERE seen_at < ?", time)


# --- notifications -----------------------------------------------------------------------------------------


def forget_notifications(db: sqlite3.Connection, made_before: datetime) -> None:
    db.execute("DELETE FROM notifications WHERE created_at < ?", (rows.milliseconds(made_before),))


# --- messages ----------------------------------------------------------------------------------------------


def append(db: Writer, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
    batch = _Batch(db, drafts)
    outcomes = [batch.add(draft) for draft in drafts]
    _insert(db, batch.new, above=batch.highest_id)
    if batch.hooks:
        db.executemany("INSERT INTO message_hooks VALUES (?, ?, ?, ?)", batch.hooks)
    return outcomes


def insert(db: sqlite3.Connection, messages: Sequence[Message]) -> None:
    """Keep new messages, which can be found from now on. Not where a server writes: its writer would not know
    of them."""
    _insert(db, [rows.message_row(message) for message in messages], above=reads.highest_id(db))


def _insert(db: sqlite3.Connection, messages: Sequence[rows.MessageRow], above: int) -> None:
    """`above`: the highest id before."""
    for some in rows.portions(messages):
        db.execute(rows.INSERT_MESSAGES + rows.values(some), rows.flat(some))
    if late := [message_id for message_id, *_ in messages if message_id <= above]:
        search.add(db, late)


class _Batch:
    """Gives drafts their places. What is looked up once per batch stays true, as nobody else writes."""

    def __init__(self, db: Writer, drafts: Sequence[Draft]) -> None:
        self.new: list[rows.MessageRow] = []
        self.hooks: list[tuple[str, int, int, str]] = []
        """Of which of them the webhook is to be told."""
        self._db = db
        self.highest_id = db.know([(draft.conversation_id, draft.sender_id) for draft in drafts])
        self._first = reads.by_client_ids(db, {key for draft in drafts if (key := _key(draft)) is not None})
        self._taken = _existing_ids(db, [draft.id for draft in drafts if draft.id <= self.highest_id])

    def add(self, draft: Draft) -> Appended | ClientError:
        last = self._db.last.get(draft.conversation_id)
        if last is None:
            return RoomNotFound()
        key = _key(draft)
        if key is not None and key in self._first:
            return Appended(message=self._first[key], repeated=True)
        message = self._place(draft, last + 1)
        if key is not None:
            self._first[key] = message
        if draft.hook is not None:
            self.hooks.append((message.conversation_id, message.seq, message.id, draft.hook))
        return Appended(message=message)

    def _place(self, draft: Draft, seq: int) -> Message:
        before, sent = self._db.sent[draft.conversation_id, draft.sender_id]
        message = _message(draft, self._free_id(draft.id), seq, sent + 1)
        self.new.append(rows.message_row(message, own.is_anchor(seq, before)))
        self._db.note(message)
        self._taken.add(message.id)
        return message

    def _free_id(self, wanted: int) -> int:
        candidate = wanted
        while candidate in self._taken or (candidate != wanted and _existing_ids(self._db, [candidate])):
            step = 1 + secrets.randbelow(_ID_SPREAD)
            candidate = candidate - step if candidate > step else candidate + step
        return candidate


def _key(draft: Draft) -> tuple[str, str, str] | None:
    """What a draft is known by when it comes again."""
    given = draft.client_message_id
    return None if given is None else (draft.conversation_id, draft.sender_id, given)


def _existing_ids(db: sqlite3.Connection, ids: Sequence[int]) -> set[int]:
    if not ids:
        return set()
    found = db.execute(
        "SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))", (rows.json_list(ids),)
    )
    return {row["id"] for row in found}


def _message(draft: Draft, message_id: int, seq: int, sender_seq: int) -> Message:
    return Message(
        id=message_id,
        conversation_id=draft.conversation_id,
        seq=seq,
        sender_id=draft.sender_id,
        sender_seq=sender_seq,
        author=draft.author,
        content_type=draft.content_type,
        content=draft.content,
        attachments=draft.attachments,
        reply_to=draft.reply_to,
        client_message_id=draft.client_message_id,
        device=draft.device,
        created_at=draft.created_at,
    )
