"""SQLite databases as earlier versions made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from messaging.stores import sqlite_schema, sqlite_search

COLUMNS = "id, conversation_id, seq, sender_id, sender_seq, author, content_type, content, created_at"


@contextmanager
def made_before(step: str, path: Path) -> Iterator[sqlite3.Connection]:
    """A database without this step of the schema and those after it, with a group `c`."""
    steps = sqlite_schema.MIGRATIONS[: sqlite_schema.MIGRATIONS.index(step)]
    with closing(sqlite3.connect(path, isolation_level=None)) as db, pytest.MonkeyPatch.context() as patch:
        db.create_function(sqlite_search.FUNCTION, 2, sqlite_search.searchable, deterministic=True)
        patch.setattr(sqlite_schema, "MIGRATIONS", steps)
        sqlite_schema.migrate(db, str(path))
        db.execute(
            "INSERT INTO conversations (id, kind, private, created_at, updated_at, version, member_count)"
            " VALUES ('c', 'group', 1, 0, 0, 1, 0)"
        )
        yield db


def keep(db: sqlite3.Connection, sent: Iterable[tuple[int, str, str]]) -> None:
    """Messages of the group `c`, of each its id, its sender, and its content."""
    counts: dict[str, int] = {}
    for seq, (number, sender, content) in enumerate(sent, start=1):
        counts[sender] = counts.get(sender, 0) + 1
        db.execute(
            f"INSERT INTO messages ({COLUMNS}) VALUES (?, 'c', ?, ?, ?, 'USER', 'text', ?, 0)",  # noqa: S608
            (number, seq, sender, counts[sender], content),
        )
