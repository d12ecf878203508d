"""What all parts of the store in SQLite stand on: its threads, and how jobs are given to them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

from messaging.domain.errors import Unavailable
from messaging.stores import sqlite_schema as schema
from messaging.stores import sqlite_writes as writes
from messaging.stores.sqlite_schema import DatabaseRefused
from messaging.stores.sqlite_thread import SqliteThread, is_passing
from messaging.stores.sqlite_writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=sqlite3.Connection)

LIMIT_SECONDS = 4.5  # how long a caller waits for the disk
DEVICE_LIFE = timedelta(days=90)
"""A device that was not seen for so long is forgotten when the store is opened."""
NOTIFICATION_LIFE = timedelta(days=90)


class SqliteBase:
    """The file `path`, or a database in memory with ":memory:".

    `open` raises DatabaseRefused when another process has the file, or it cannot be used at all.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: SqliteThread[Writer] | None = None
        self._reader: SqliteThread[sqlite3.Connection] | None = None
        self._searcher: SqliteThread[sqlite3.Connection] | None = None
        self._unlock: Callable[[], None] | None = None

    async def open(self) -> None:
        if self._writer is not None:
            return
        try:
            await self._start()
        except (sqlite3.Error, OSError) as error:
            await self.close()
            refused = f"The database {self._path} cannot be opened: {error}"
            raise (Unavailable(refused) if is_passing(error) else DatabaseRefused(refused)) from error
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        in_memory = self._path == schema.MEMORY
        if not in_memory:
            self._unlock = schema.lock(self._path)
        connect = schema.connect_writer
        self._writer = SqliteThread("sqlite-writer", lambda: connect(self._path), begin="BEGIN IMMEDIATE")
        await self._writer.start()
        with suppress(Unavailable):  # a full disk can still be read from; there is a next time
            now = datetime.now(UTC)
            await self._write(writes.forget_devices, now - DEVICE_LIFE)
            await self._write(writes.forget_notifications, now - NOTIFICATION_LIFE)
        if in_memory:  # a memory database belongs to its one connection
            self._reader = self._searcher = self._writer
            return
        self._reader = await self._reading("sqlite-reader")
        self._searcher = await self._reading("sqlite-searcher")

    async def _reading(self, name: str) -> SqliteThread[sqlite3.Connection]:
        thread = SqliteThread(name, lambda: schema.connect_reader(self._path), begin="BEGIN")
        await thread.start()
        return thread

    async def close(self) -> None:
        # The readers first: the last connection to go writes the log back into the database.
        for thread in (self._searcher, self._reader, self._writer):
            if thread is not None:
                await thread.close()
        self._searcher = self._reader = self._writer = None
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    async def _read(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *given: P.args, **named: P.kwargs
    ) -> T:
        return await _ask(self._reader, lambda db: work(db, *given, **named))

    async def _search(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *given: P.args, **named: P.kwargs
    ) -> T:
        """Read in a thread of its own, so that nobody's history waits for what may take long."""
        return await _ask(self._searcher, lambda db: work(db, *given, **named))

    async def _write(self, work: Callable[Concatenate[Writer, P], T], *given: P.args, **named: P.kwargs) -> T:
        return await _ask(self._writer, lambda db: work(db, *given, **named))


async def _ask(thread: SqliteThread[C] | None, work: Callable[[C], T]) -> T:
    if thread is None:
        raise Unavailable
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await thread.submit(work)
    except TimeoutError:
        raise Unavailable from None
