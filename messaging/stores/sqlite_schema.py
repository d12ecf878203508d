"""The SQLite database as a file: its tables, how it is opened, and the lock that keeps a second server out.

Times are whole milliseconds since 1970, lists are JSON. `PRAGMA user_version` is the schema's version; a
later one appends its steps to `MIGRATIONS`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from messaging.service.ports import StoreRefused
from messaging.stores import sqlite_own as own
from messaging.stores import sqlite_search as search
from messaging.stores.sqlite_writer import Writer

Connection = TypeVar("Connection", bound=sqlite3.Connection)

MEMORY = ":memory:"
BUSY_SECONDS = 2.0
"""How long a statement waits while another program (a backup, the sqlite3 shell) holds the database."""
_LOG_PAGES = 4_000
"""How long the log may be before it is written back: 16 MB. Most pages in it are there many times, and are
written back once; who writes waits for it."""


class DatabaseRefused(StoreRefused):
    """The database cannot be used; the text says in one plain line which one, and why."""


# Ids and names compare as bytes, which for UTF-8 is code-point order, as in MongoDB.
_FIRST = """
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    username TEXT, name TEXT, first_name TEXT, last_name TEXT, salon_name TEXT,
    image TEXT, role TEXT NOT NULL, email TEXT,
    status TEXT NOT NULL, last_seen INTEGER
) WITHOUT ROWID;

-- What a user is found by, case folded: a prefix is a range of this key.
CREATE TABLE user_names (
    key TEXT NOT NULL, user_id TEXT NOT NULL,
    PRIMARY KEY (key, user_id)
) WITHOUT ROWID;
CREATE INDEX user_names_by_user ON user_names (user_id);

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL, name TEXT, private INTEGER NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL, member_count INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE members (
    conversation_id TEXT NOT NULL, user_id TEXT NOT NULL,
    role TEXT NOT NULL, joined_at INTEGER NOT NULL,
    archived INTEGER NOT NULL, muted INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id);
CREATE INDEX members_by_age ON members (conversation_id, joined_at, user_id);

-- Apart from members: somebody who reads a public room has a cursor and is no member.
CREATE TABLE cursors (
    conversation_id TEXT NOT NULL, user_id TEXT NOT NULL,
    seq INTEGER NOT NULL, own_read INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;

CREATE TABLE read_marks (
    conversation_id TEXT NOT NULL, seq INTEGER NOT NULL, reader_id TEXT NOT NULL,
    after INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq, reader_id)
) WITHOUT ROWID;

CREATE TABLE invitations (
    conversation_id TEXT NOT NULL, user_id TEXT NOT NULL,
    invited_by TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;

-- Device '' stands for any of the user's. A device that ever kept positions is here, be they none.
CREATE TABLE devices (
    user_id TEXT NOT NULL, device TEXT NOT NULL, seen_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device)
) WITHOUT ROWID;
CREATE INDEX devices_by_age ON devices (seen_at);

-- Up to which seq of a conversation a device has everything.
CREATE TABLE positions (
    user_id TEXT NOT NULL, device TEXT NOT NULL, conversation_id TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (user_id, device, conversation_id)
) WITHOUT ROWID;
CREATE INDEX positions_by_conversation ON positions (conversation_id);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL, seq INTEGER NOT NULL,
    sender_id TEXT NOT NULL, sender_seq INTEGER NOT NULL,
    author TEXT NOT NULL, content_type TEXT NOT NULL, content TEXT NOT NULL,
    attachments TEXT, reply_to INTEGER, client_message_id TEXT, device TEXT,
    created_at INTEGER NOT NULL,
    rev INTEGER NOT NULL DEFAULT 0, edited_at INTEGER, deleted_at INTEGER, reactions TEXT
);
CREATE UNIQUE INDEX messages_by_seq ON messages (conversation_id, seq);
CREATE UNIQUE INDEX messages_by_client_id ON messages (conversation_id, sender_id, client_message_id)
    WHERE client_message_id IS NOT NULL;
CREATE UNIQUE INDEX messages_by_rev ON messages (conversation_id, rev) WHERE rev > 0;
-- How many messages a user sent is the sender_seq of the last: one look-up, no scan.
CREATE INDEX messages_by_sender ON messages (conversation_id, sender_id, seq, sender_seq);

-- Replaced by _RECOVERIES before anything was kept here.
CREATE TABLE recoveries (
    pid TEXT PRIMARY KEY, user_id TEXT NOT NULL,
    joins TEXT NOT NULL, positions TEXT NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX recoveries_by_end ON recoveries (expires_at);

-- A ping writes here: only a write shows that the disk takes writes.
CREATE TABLE pings (id INTEGER PRIMARY KEY, count INTEGER NOT NULL);
INSERT INTO pings VALUES (1, 0);
"""
_DUTIES = """
-- Who was sent away, and up to when their tokens are refused. Numbers rise, over all users.
CREATE TABLE disconnections (
    user_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, revoked_before INTEGER
) WITHOUT ROWID;

-- What webhooks still have to tell: of messages, and of other things.
CREATE TABLE message_hooks (
    conversation_id TEXT NOT NULL, seq INTEGER NOT NULL, message_id INTEGER NOT NULL, trace TEXT NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) WITHOUT ROWID;
-- Whoever removes messages for good: of those nothing is to be told any more.
CREATE TRIGGER message_hooks_gone AFTER DELETE ON messages BEGIN
    DELETE FROM message_hooks WHERE conversation_id = old.conversation_id AND seq = old.seq;
END;
CREATE TABLE hooks (
    lane TEXT NOT NULL, id INTEGER NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL,
    data TEXT NOT NULL, message_id INTEGER, trace TEXT NOT NULL,
    PRIMARY KEY (lane, id)
) WITHOUT ROWID;
"""

# Counted in the conversation, since the messages that were changed last may be removed for good.
_CHANGES = """
ALTER TABLE conversations ADD COLUMN last_rev INTEGER NOT NULL DEFAULT 0;
ALTER TABLE positions ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;

-- `before` is what an edit replaced.
CREATE TABLE changes (
    conversation_id TEXT NOT NULL, rev INTEGER NOT NULL,
    message_id INTEGER NOT NULL, kind TEXT NOT NULL, user_id TEXT NOT NULL, emoji TEXT,
    at INTEGER NOT NULL, last_seq INTEGER NOT NULL, before TEXT,
    PRIMARY KEY (conversation_id, rev)
) WITHOUT ROWID;
CREATE INDEX changes_by_end ON changes (conversation_id, last_seq);
CREATE INDEX changes_by_message ON changes (message_id);
"""
_PERSONAL = """
ALTER TABLE members DROP COLUMN archived;
ALTER TABLE members ADD COLUMN archived_at INTEGER;
ALTER TABLE members ADD COLUMN unread_at INTEGER;

-- Counts what concerned each user alone. Apart from users: a notification may be all that is known of one.
CREATE TABLE inboxes (user_id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE notifications (
    user_id TEXT NOT NULL, position INTEGER NOT NULL,
    id TEXT NOT NULL, type TEXT NOT NULL, title TEXT, body TEXT, data TEXT NOT NULL,
    created_at INTEGER NOT NULL, read_at INTEGER,
    PRIMARY KEY (user_id, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX notifications_by_id ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, position) WHERE read_at IS NULL;
CREATE INDEX notifications_by_age ON notifications (created_at);
"""
_MODERATION = """
CREATE TABLE blocks (
    user_id TEXT NOT NULL, blocked_id TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
) WITHOUT ROWID;
CREATE INDEX blocks_by_blocked ON blocks (blocked_id);

-- What was reported, as it was then: the message may be changed or gone by the time that somebody looks.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL, conversation_id TEXT NOT NULL, seq INTEGER NOT NULL,
    sender_id TEXT NOT NULL, content TEXT NOT NULL, sent_at INTEGER NOT NULL,
    reporter_id TEXT NOT NULL, reason TEXT, at INTEGER NOT NULL,
    UNIQUE (message_id, reporter_id)
);
"""
# Nothing was ever kept in the table that the first schema had for this.
_RECOVERIES = """
DROP TABLE recoveries;
CREATE TABLE recoveries (
    pid TEXT PRIMARY KEY, owner TEXT NOT NULL,
    user_id TEXT NOT NULL, dialect TEXT NOT NULL, sid TEXT NOT NULL,
    joins TEXT NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX recoveries_by_end ON recoveries (expires_at);

CREATE INDEX read_marks_by_time ON read_marks (conversation_id, at);
"""
_PUSH = """
CREATE TABLE push_subscriptions (
    endpoint TEXT PRIMARY KEY, user_id TEXT NOT NULL,
    p256dh TEXT NOT NULL, auth TEXT NOT NULL, created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX push_subscriptions_by_user ON push_subscriptions (user_id, created_at);
"""
_DELIVERIES = """
CREATE TABLE deliveries (
    conversation_id TEXT NOT NULL, user_id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;
"""
_UPLOADS = """
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL, file_name TEXT NOT NULL, file_size INTEGER NOT NULL,
    mime_type TEXT NOT NULL, width INTEGER, height INTEGER, thumbnail INTEGER NOT NULL,
    ready INTEGER NOT NULL, created_at INTEGER NOT NULL, checked_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_user ON uploads (user_id, file_size);
CREATE INDEX uploads_by_check ON uploads (checked_at);
CREATE TABLE attached (
    upload_id TEXT NOT NULL, message_id INTEGER NOT NULL, conversation_id TEXT NOT NULL,
    PRIMARY KEY (upload_id, message_id)
) WITHOUT ROWID;
CREATE TABLE shared_keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_ERASURES = """
-- Users who are being erased. `place`: up to which conversation what they left there is gone.
CREATE TABLE erasures (
    user_id TEXT PRIMARY KEY, messages INTEGER NOT NULL, place TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
_RETENTION = """
ALTER TABLE conversations ADD COLUMN retention_days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN removed_seq INTEGER NOT NULL DEFAULT 0;
"""
_BY_USER = """
-- For exports of what is kept of a user, and for erasing users.
CREATE INDEX changes_by_reaction ON changes (user_id, message_id) WHERE kind = 'reacted';
CREATE INDEX reports_by_reporter ON reports (reporter_id);
"""
_ROUNDS = """
-- How often an erasure was begun: what notes how far it is must mean this time.
ALTER TABLE erasures ADD COLUMN round INTEGER NOT NULL DEFAULT 1;
"""
_SEEN = """
-- When who is blocked had last seen who blocked them.
ALTER TABLE blocks ADD COLUMN seen INTEGER;
UPDATE blocks SET seen = at;
"""
MIGRATIONS = (
    _FIRST,
    _DUTIES,
    search.SCHEMA,
    _CHANGES,
    _PERSONAL,
    _MODERATION,
    _RECOVERIES,
    _PUSH,
    _DELIVERIES,
    _UPLOADS,
    _ERASURES,
    _RETENTION,
    _BY_USER,
    _ROUNDS,
    _SEEN,
    search.UNINDEXED,
    own.SCHEMA,
    search.INDEXED,
)
"""Step n brings a database of version n to n + 1."""


def _connect(path: str, kind: type[Connection]) -> Connection:
    """A connection for one thread; it begins and ends transactions only as it is told."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=256, factory=kind
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def connect_reader(path: str) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _connect(path, sqlite3.Connection)
    connection.execute("PRAGMA query_only=ON")
    return connection


def connect_writer(path: str) -> Writer:
    """A connection to the database, which is made or migrated as needed."""
    connection = _connect(path, Writer)
    connection.create_function(search.FUNCTION, 2, search.searchable, deterministic=True)
    try:
        if path != MEMORY:
            _use_wal(connection, path)
        migrate(connection, path)
        connection.watch_removals()
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, path: str) -> None:
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise DatabaseRefused(f"The database {path} is on a file system that SQLite's WAL cannot use")


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the schema to the newest version, step by step, each whole or not at all."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise DatabaseRefused(f"The database {path} was made by a newer version of this server")
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version={number:d}; COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def lock(path: str) -> Callable[[], None]:
    """Keep other servers from opening the database until this process ends or the result is called.

    DatabaseRefused when another has it. The lock file stays: who removed it would let two servers lock
    two files of that name.
    """
    if Path(path).is_dir():
        raise DatabaseRefused(f"The database {path} is a folder; DATABASE_PATH must name a file")
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DatabaseRefused(f"The database {path} is in use by another server process") from None
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # nobody else's to read
    return lambda: os.close(handle)
