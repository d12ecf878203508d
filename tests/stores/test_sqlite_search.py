"""What is found in SQLite, whatever is indexed already and whatever is not yet."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.models import ChangeKind, Message
from messaging.domain.words import query_of, words_of
from messaging.stores import sqlite_changes, sqlite_reads, sqlite_schema, sqlite_search, sqlite_writes
from messaging.stores.sqlite import SqliteStore
from messaging.stores.sqlite_writer import Writer
from tests.gateway.house import until
from tests.stores import sqlite_old
from tests.stores.build import change, conversation, draft, later, send, stored

SECONDS = 10
WORDS = st.lists(st.sampled_from(["ab", "abc", "b", "é", "東"]), min_size=1, max_size=3).map(" ".join)
PLACES = st.sampled_from(["c", "d"])
Step = tuple[str, Any, str]
STEPS = st.one_of(
    st.tuples(st.just("append"), PLACES, WORDS),
    st.tuples(st.sampled_from(["append below", "append above"]), PLACES, WORDS),
    st.tuples(st.just("edit"), st.integers(0, 30), WORDS),
    st.tuples(st.just("delete"), st.integers(0, 30), st.just("")),
    st.tuples(st.just("remove"), PLACES, st.just("")),
    st.tuples(st.just("index"), st.integers(1, 4), st.just("")),
)


@pytest.fixture
def db() -> Iterator[Writer]:
    """A database with the groups `c` and `d`."""
    with closing(sqlite_schema.connect_writer(sqlite_schema.MEMORY)) as db:
        for name in ("c", "d"):
            sqlite_writes.save(db, conversation(name), (), (), ())
        yield db


def appended(db: Writer, content: str, where: str = "c") -> Message:
    (outcome,) = sqlite_writes.append(db, [draft(content, conversation_id=where)])
    return stored(outcome)


def edited(db: sqlite3.Connection, message: Message, content: str) -> Message:
    after = replace(message, content=content, edited_at=later(1))
    made = sqlite_changes.change(db, after, change(message, ChangeKind.EDITED), message.content, ())
    assert made is not None
    return made.message


def deleted(db: sqlite3.Connection, message: Message) -> Message:
    after = replace(message, content="", deleted_at=later(2))
    made = sqlite_changes.change(db, after, change(message, ChangeKind.DELETED), None, ())
    assert made is not None
    return made.message


def found(
    db: sqlite3.Connection, text: str, *where: str, before: int | None = None, limit: int = 50
) -> list[int]:
    query = query_of(text)
    assert query is not None
    return [m.id for m in sqlite_search.find(db, query, frozenset(where or ("c",)), before, limit)]


def places_of(db: sqlite3.Connection) -> list[int]:
    """The ids of all messages that can be found, as often as they are kept for it."""
    both = f"SELECT rowid FROM search UNION ALL SELECT id FROM ({sqlite_search.WAITING})"  # noqa: S608
    return sorted(row[0] for row in db.execute(both))


def waiting(db: sqlite3.Connection) -> int:
    """How many messages are not indexed yet."""
    (count,) = db.execute(f"SELECT count(*) FROM ({sqlite_search.WAITING})").fetchone()  # noqa: S608
    return int(count)


def take(db: Writer, messages: dict[int, Message], step: Step) -> None:
    """Do to the database, and to what ought to be in it, what `step` says."""
    alive = [message for message in messages.values() if message.deleted_at is None]
    match step:
        case ("append", where, content):
            message = appended(db, content, where)
            messages[message.id] = message
        case ("append below" | "append above" as how, where, content):
            ids = messages or {10**6}
            number = min(ids) - 1 if how == "append below" else max(ids) + 1
            (outcome,) = sqlite_writes.append(db, [draft(content, conversation_id=where, id=number)])
            messages[number] = stored(outcome)
        case ("edit", number, content) if alive:
            message = edited(db, alive[number % len(alive)], content)
            messages[message.id] = message
        case ("delete", number, _) if alive:
            message = deleted(db, alive[number % len(alive)])
            messages[message.id] = message
        case ("remove", where, _):
            sqlite_writes.delete(db, where, ())
            sqlite_writes.save(db, conversation(where), (), (), ())
            for message in alive:
                if message.conversation_id == where:
                    del messages[message.id]
        case ("index", limit, _):
            sqlite_search.index(db, limit)
        case _:
            pass  # there is nothing to change


@pytest.mark.parametrize("few", [False, True])
@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=25), text=WORDS)
def test_whatever_is_indexed_the_same_is_found(few: bool, steps: list[Step], text: str) -> None:
    messages: dict[int, Message] = {}
    query = query_of(text)
    assert query is not None
    with pytest.MonkeyPatch.context() as patch, closing(sqlite_schema.connect_writer(":memory:")) as db:
        if few:  # so that what is frequent and rare, near and far, is there in a few messages, too
            patch.setattr(sqlite_search, "_CANDIDATES", 2)
            patch.setattr(sqlite_search, "_MAX_NAMED", 0)
        for name in ("c", "d"):
            sqlite_writes.save(db, conversation(name), (), (), ())
        for step in steps:
            take(db, messages, step)
            alive = [message for message in messages.values() if message.deleted_at is None]
            assert places_of(db) == sorted(message.id for message in alive)
        for where in (("c",), ("c", "d")):
            wanted = sorted(
                (m.id for m in alive if m.conversation_id in where and query.fits(words_of(m.content))),
                reverse=True,
            )
            assert found(db, text, *where) == wanted
            assert found(db, text, *where, limit=2) == wanted[:2]
            if wanted:
                assert found(db, text, *where, before=wanted[0]) == wanted[1:]


def test_what_was_indexed_before_the_index_could_be_behind_is_found_and_can_be_changed(path: Path) -> None:
    with sqlite_old.made_before(sqlite_search.UNINDEXED, path) as before:
        sqlite_old.keep(before, [(1, "alice", "old words"), (2, "alice", "other words")])
        for number, content in before.execute("SELECT id, content FROM messages").fetchall():
            words = sqlite_search.searchable("c", content)
            before.execute("INSERT INTO search (rowid, words) VALUES (?, ?)", (number, words))
    with closing(sqlite_schema.connect_writer(str(path))) as db:
        old, other = sqlite_reads.history_after(db, "c", 0, 9)
        (new,) = map(stored, sqlite_writes.append(db, [draft("new words", id=3)]))
        assert found(db, "words") == [new.id, other.id, old.id]
        edited(db, old, "changed text")
        deleted(db, other)
        assert found(db, "words") == [new.id]
        assert found(db, "changed") == [old.id]
        assert sqlite_search.index(db, 10) == 0
        assert found(db, "words") == [new.id]
        assert found(db, "changed") == [old.id]


def test_what_was_noted_before_the_index_had_an_end_is_indexed_once(path: Path) -> None:
    with sqlite_old.made_before(sqlite_search.INDEXED, path) as before:
        sqlite_old.keep(before, [(1, "alice", "old words"), (2, "alice", "other words")])
        before.execute(
            "INSERT INTO search (rowid, words) VALUES (1, ?)", (sqlite_search.searchable("c", "old"),)
        )
        before.execute("INSERT INTO unindexed VALUES (2)")
    with closing(sqlite_schema.connect_writer(str(path))) as db:
        (new,) = map(stored, sqlite_writes.append(db, [draft("new words", id=3)]))
        assert waiting(db) == 2
        for _ in range(2):
            assert places_of(db) == [1, 2, new.id]
            assert found(db, "words") == [new.id, 2]
            assert sqlite_search.index(db, 10) == 0


def test_of_long_messages_fewer_are_indexed_together_and_never_none(db: Writer) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_search, "_TEXT", 50)
        for _ in range(3):
            appended(db, "word " * 20)
        for _ in range(20):
            appended(db, "0123456789")
        told = [(sqlite_search.index(db, 10), waiting(db)) for _ in range(8)]
        assert told == [(10, 22), (10, 21), (10, 20), (10, 15), (10, 10), (5, 5), (0, 0), (0, 0)]


def test_no_search_goes_through_more_than_what_is_not_indexed(db: sqlite3.Connection) -> None:
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    found(db, "words")
    sqlite_search.index(db, 10)
    db.set_trace_callback(None)
    plans = [
        row["detail"]
        for one in statements
        if "indexed" in one and one.lstrip().startswith("SELECT")
        for row in db.execute(f"EXPLAIN QUERY PLAN {one}")
    ]
    assert "SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)" in plans
    assert [plan for plan in plans if plan.startswith("SCAN messages")] == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messaging.db"


@pytest.fixture
async def in_tens(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    """A store with a conversation `c` that indexes ten messages together."""
    monkeypatch.setattr(sqlite_search, "TOGETHER", 10)
    store = SqliteStore(str(path))
    await store.open()
    await store.save(conversation("c"))
    yield store
    await store.close()


async def test_messages_are_indexed_when_there_are_enough_and_when_the_store_is_opened(
    in_tens: SqliteStore, path: Path
) -> None:
    store = in_tens
    await send(store, *(draft(f"number {n}") for n in range(9)))
    assert unindexed(path) == 9
    await send(store, draft("number 9"), draft("number 10"))
    await until_unindexed(path, 1)
    await store.close()
    assert unindexed(path) == 1
    await store.open()
    await until_unindexed(path, 0)
    query = query_of("number")
    assert query is not None
    assert len(await store.search(query, conversation_ids=["c"], limit=50)) == 11


async def test_what_was_about_to_be_indexed_when_the_store_was_closed_is_when_it_is_opened_again(
    in_tens: SqliteStore, path: Path
) -> None:
    await until_unindexed(path, 0)
    await send(in_tens, *(draft(f"number {n}") for n in range(12)))
    await in_tens.close()
    await in_tens.open()
    await until_unindexed(path, 2)


def unindexed(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return waiting(db)


async def until_unindexed(path: Path, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while unindexed(path) != count:  # noqa: ASYNC110  a file tells nobody
            await asyncio.sleep(0.01)


async def test_what_cannot_be_indexed_is_found_all_the_same_and_not_tried_with_each_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def broken(*_: object) -> int:
        nonlocal tries
        tries += 1
        raise sqlite3.DatabaseError("malformed")

    monkeypatch.setattr(sqlite_search, "TOGETHER", 5)
    monkeypatch.setattr(sqlite_search, "index", broken)
    store = SqliteStore(":memory:")
    await store.open()
    await until(lambda: tries == 1)  # what looks for what was left
    await store.save(conversation("c"))
    for number in range(12):
        await send(store, draft(f"hello {number}"))
    await until(lambda: len(caplog.records) == 3)
    assert tries <= 3 + 2  # what failed with a message was tried alone
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 3
    query = query_of("hello 11")
    assert query is not None
    assert len(await store.search(query, conversation_ids={"c"}, limit=5)) == 1
    await store.close()
