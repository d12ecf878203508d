"""What is true of the SQLite store alone: its file, its lock, its disk, its threads."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from messaging.domain.errors import Unavailable
from messaging.domain.models import Position
from messaging.stores import sqlite_forgetting, sqlite_reads, sqlite_search, sqlite_writes
from messaging.stores.sqlite import DatabaseRefused, SqliteStore
from tests.servers import ROOT
from tests.stores.build import T0, conversation, draft, everything, send


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messaging.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store with a group `c`."""
    store = SqliteStore(str(path))
    await store.open()
    await store.save(conversation("c"))
    yield store
    await store.close()


# --- the file and its lock --------------------------------------------------------------------------------


async def test_a_second_server_on_one_database_is_refused_in_a_plain_line(
    store: SqliteStore, path: Path
) -> None:
    second = SqliteStore(str(path))
    with pytest.raises(DatabaseRefused, match=f"^The database {path} is in use by another server process$"):
        await second.open()
    await second.close()
    await send(store, draft())


async def test_the_lock_ends_with_the_store(store: SqliteStore, path: Path) -> None:
    await store.close()
    second = SqliteStore(str(path))
    await second.open()
    await second.close()


async def test_a_store_can_be_opened_again_after_it_was_closed(store: SqliteStore) -> None:
    await send(store, draft())
    await store.close()
    await store.open()
    assert len(await everything(store)) == 1


async def test_opening_forgets_devices_that_were_not_seen_for_90_days(store: SqliteStore) -> None:
    now = datetime.now(UTC)
    await store.save(conversation("quiet"))
    await store.keep_positions(
        "alice", "phone", {"quiet": Position(3), "c": Position(1)}, at=now - timedelta(days=91)
    )
    await store.keep_positions("alice", "laptop", {"c": Position(1)}, at=now - timedelta(days=91))
    await store.keep_positions("alice", "phone", {"c": Position(2)}, at=now - timedelta(days=89))
    await store.keep_positions("bob", "phone", {"c": Position(2)}, at=now - timedelta(days=91))
    await store.close()
    await store.open()
    assert await store.positions("alice", "laptop") is None
    assert await store.positions("bob", "phone") is await store.positions("bob", "") is None
    # What a device in use has of a quiet conversation stays with it.
    assert await store.positions("alice", "phone") == {"quiet": Position(3), "c": Position(2)}
    assert await store.positions("alice", "") == {"quiet": Position(3), "c": Position(2)}


async def test_a_closed_store_is_unavailable(store: SqliteStore) -> None:
    await store.close()
    with pytest.raises(Unavailable):
        await store.ping()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(DatabaseRefused, match="newer version"):
        await SqliteStore(str(path)).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"no database " * 100)
    with pytest.raises(DatabaseRefused, match=str(path)):
        await SqliteStore(str(path)).open()


async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "nowhere" / "x.db"))
    with pytest.raises(Unavailable, match="nowhere"):
        await store.open()


# --- the threads ------------------------------------------------------------------------------------------


async def test_a_job_that_fails_undoes_none_of_those_written_with_it(store: SqliteStore) -> None:
    good = [store.append([draft(f"{n}")]) for n in range(20)]
    bad = [store.append([draft("fine"), draft("\ud800")]) for _ in range(5)]  # cannot be UTF-8
    outcomes = await asyncio.gather(*good[:7], *bad, *good[7:], return_exceptions=True)
    assert [isinstance(one, UnicodeEncodeError) for one in outcomes] == [7 <= n < 12 for n in range(25)]
    messages = await everything(store)
    assert [(m.content, m.seq) for m in messages] == [(str(n), n + 1) for n in range(20)]


async def test_closing_finishes_the_writes_under_way(store: SqliteStore) -> None:
    writes = [asyncio.create_task(store.append([draft(f"{n}")])) for n in range(300)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    await store.open()
    assert len(await everything(store)) == 300


async def test_while_another_program_holds_the_database_writes_are_refused_in_time_and_reads_go_on(
    store: SqliteStore, path: Path
) -> None:
    await send(store, draft("before"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        writes = [asyncio.create_task(store.append([draft()])) for _ in range(3)]
        assert len(await everything(store)) == 1
        assert not any(write.done() for write in writes)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        assert time.monotonic() - began < 5
        other.execute("ROLLBACK")
    assert [message.content for message in await send(store, draft("after"))] == ["after"]
    assert [message.seq for message in await everything(store)] == [1, 2]


# --- the disk ---------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_writes_whole_and_the_store_recovers_by_itself(path: Path) -> None:
    command = [sys.executable, "-m", "tests.stores.sqlite_full_disk", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr
    # Told once when it begins and once when it ends, and not for each write.
    assert 1 <= ended.stderr.count("SQLite refuses") <= 3


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path: Path) -> None:
    acknowledged: list[int] = []
    store = SqliteStore(str(path))
    await store.open()
    await store.save(conversation("c"))
    for lines in (1, 20, 60):
        await store.close()
        acknowledged += kill_writer_after(path, lines)
        await store.open()
        messages = await everything(store)
        assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
        assert set(acknowledged) <= {message.id for message in messages}
        with closing(sqlite3.connect(path)) as db:  # each can be found, and once
            found = db.execute(
                f"SELECT rowid FROM search UNION ALL SELECT id FROM ({sqlite_search.WAITING})"  # noqa: S608
            ).fetchall()
        assert sorted(found) == sorted((message.id,) for message in messages)
    await store.close()


def kill_writer_after(path: Path, lines: int) -> list[int]:
    """Run the writer, kill it after so many acknowledged batches; the ids that it told."""
    command = [sys.executable, "-m", "tests.stores.sqlite_writer", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        told += writer.stdout.readlines()
    return [int(number) for line in told for number in line.split()]


# --- the indexes ------------------------------------------------------------------------------------------

PLANNED: dict[str, Callable[[sqlite3.Connection], object]] = {
    "own_sent": lambda db: sqlite_reads.own_sent(db, "c", "alice", 3),
    "own_sent of what was removed": lambda db: sqlite_reads.own_sent(db, "c", "alice", 0),
    "memberships": lambda db: sqlite_reads.memberships(db, ["alice"]),
    "sent": lambda db: sqlite_forgetting.sent(db, "c", "alice", 3, 5),
    "written_in": lambda db: sqlite_forgetting.written_in(db, ["c"], "alice"),
    "membership": lambda db: sqlite_reads.membership(db, "c", "alice"),
    "tails": lambda db: sqlite_reads.tails(db, ["c"]),
    "history_last": lambda db: sqlite_reads.history_last(db, "c", 5, 5),
    "history_after": lambda db: sqlite_reads.history_after(db, "c", 5, 5),
    "message_by_client_id": lambda db: sqlite_reads.message_by_client_id(db, "c", "alice", "k"),
    "by_client_ids": lambda db: sqlite_reads.by_client_ids(db, [("c", "alice", "k"), ("c", "bob", "k")]),
    "ends": lambda db: sqlite_reads.ends(db, [("c", "alice"), ("c", "bob")]),
    "read_marks": lambda db: sqlite_reads.read_marks(db, "c", 0, 5),
    "invited": lambda db: sqlite_reads.invited(db, "c", "alice"),
    "positions": lambda db: sqlite_reads.positions(db, "alice", "phone"),
    "forget_devices": lambda db: sqlite_writes.forget_devices(db, T0),
    "find_users": lambda db: sqlite_reads.find_users(db, "a", 5, None),
}

_GIVEN = (
    "SCAN json_each",
    "SCAN keys",
    "SCAN places",
    "SCAN CONSTANT ROW",
    "SCAN 2 CONSTANT ROWS",
    "SCAN (subquery",
)
"""What is looked up, and not where; and what was found by a look-up before."""


@pytest.mark.parametrize("name", PLANNED)
async def test_nothing_that_is_looked_up_scans_a_table(store: SqliteStore, path: Path, name: str) -> None:
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        db.set_trace_callback(statements.append)
        PLANNED[name](db)
        db.set_trace_callback(None)
        plans = [row["detail"] for one in statements for row in db.execute(f"EXPLAIN QUERY PLAN {one}")]
    assert plans
    scans = [plan for plan in plans if plan.startswith("SCAN")]
    assert [scan for scan in scans if not scan.startswith(_GIVEN)] == []
