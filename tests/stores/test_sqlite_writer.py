"""What the connection that writes knows without asking is what the database would say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.stores import sqlite_reads, sqlite_retention, sqlite_rows, sqlite_schema, sqlite_writer
from messaging.stores import sqlite_writes as writes
from messaging.stores.sqlite_writer import Writer
from tests.stores.build import conversation, draft, later, stored

PLACES = st.sampled_from(["c", "d"])
SENDERS = st.sampled_from(["alice", "bob", "carol"])
STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(st.tuples(PLACES, SENDERS), min_size=1, max_size=4)),
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.just("commit"), st.none()),
    st.tuples(st.just("roll back"), st.none()),
    st.tuples(st.just("delete"), PLACES),
    st.tuples(st.just("create"), PLACES),
    st.tuples(st.just("retain"), st.tuples(PLACES, st.integers(0, 30))),
)
Step = tuple[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messaging.db"


@pytest.fixture
def db(path: Path) -> Iterator[Writer]:
    """The one who writes, with the groups `c` and `d`."""
    with closing(sqlite_schema.connect_writer(str(path))) as db:
        for name in ("c", "d"):
            writes.save(db, conversation(name), (), (), ())
        yield db


def append(db: Writer, *places: tuple[str, str], number: int = 0) -> list[int]:
    """The `seq` of a new message of each of these senders there, 0 where there is no such conversation."""
    drafts = [
        draft(conversation_id=where, sender_id=sender, created_at=later(number)) for where, sender in places
    ]
    outcomes = writes.append(db, drafts)
    return [0 if isinstance(each, Exception) else stored(each).seq for each in outcomes]


def take(db: Writer, step: Step, number: int) -> None:
    match step:
        case ("append", places):
            append(db, *places, number=number)
        case ("begin", _) if not db.in_transaction:
            db.execute("BEGIN")
        case ("commit", _) if db.in_transaction:
            db.execute("COMMIT")
        case ("roll back", _):
            db.rollback()
        case ("delete", where):
            writes.delete(db, where, ())
        case ("create", where):
            writes.save(db, conversation(where), (), (), ())
        case ("retain", (where, age)):
            before = sqlite_rows.milliseconds(later(number - age))
            sqlite_retention.remove_before(db, where, before, 3)
        case _:
            pass  # it is in a transaction already, or in none


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEPS, max_size=30))
def test_what_is_known_is_what_the_database_says(steps: list[Step]) -> None:
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        for name in ("c", "d"):
            writes.save(db, conversation(name), (), (), ())
        for number, step in enumerate(steps):
            take(db, step, number)
            db.know(())  # as each job does that asks
            last, sent = sqlite_reads.ends(db, set(db.sent))
            assert (db.last, db.sent) == (last, sent)
            assert db.highest_id == sqlite_writer.UNKNOWN or db.highest_id >= sqlite_reads.highest_id(db)


def test_where_a_conversation_ends_is_asked_once(db: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert append(db, ("c", "alice"), ("c", "bob"), ("d", "bob")) == [1, 2, 1]
    monkeypatch.setattr(sqlite_reads, "ends", None)
    monkeypatch.setattr(sqlite_reads, "highest_id", None)
    assert append(db, ("c", "bob"), ("d", "bob"), ("c", "alice")) == [3, 2, 4]


def test_all_is_forgotten_once_for_many_that_are_removed(db: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert append(db, *[("c", "alice")] * 50)[-1] == 50
    forgotten: list[int] = []
    monkeypatch.setattr(db, "forget", lambda: forgotten.append(len(db.sent)))
    writes.delete(db, "c", ())
    assert append(db, ("d", "bob")) == [1]
    assert forgotten == [1]


def test_what_another_program_wrote_counts(db: Writer, path: Path) -> None:
    assert append(db, ("c", "alice"), ("c", "bob"), ("d", "bob")) == [1, 2, 1]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.create_function("searchable", 2, lambda *_: "")
        other.execute("DELETE FROM messages WHERE conversation_id = 'c' AND seq = 2")
        other.execute("DELETE FROM conversations WHERE id = 'd'")
    assert append(db, ("c", "bob"), ("d", "bob")) == [2, 0]


def test_a_taken_id_is_replaced_wherever_it_was_taken(db: Writer) -> None:
    first = draft()
    before, same, again = (
        stored(writes.append(db, [draft(id=number)])[0]).id for number in (first.id + 9, first.id, first.id)
    )
    assert (before, same) == (first.id + 9, first.id)
    assert again != first.id
    both = [stored(each).id for each in writes.append(db, [draft(id=10**6), draft(id=10**6)])]
    assert both[0] == 10**6 != both[1]


def test_no_more_than_so_many_are_known(db: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "MAX_KNOWN", 3)
    for number in range(20):
        assert append(db, ("c", f"u{number}"), ("c", "alice")) == [2 * number + 1, 2 * number + 2]
        assert len(db.sent) <= 3 + 2
