"""A thread that owns one SQLite connection and carries out jobs on it, many in one transaction.

Jobs that arrive while a transaction is being written to disk go together in the next: one wait for the
disk answers all of them (docs/design.md, invariant 3). A job that fails undoes itself and no other.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from messaging.domain.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
C_co = TypeVar("C_co", bound=sqlite3.Connection, covariant=True)

MAX_QUEUED_JOBS = 10_000
MAX_JOBS_TOGETHER = 256

# What the operator or time can mend. Any other SQLite error is a bug, or a broken file that needs a person.
_PASSING = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOLFS),
}


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Any], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for an error that SQLite did not raise."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_passing(error: Exception) -> bool:
    """Whether an error is about the storage's state, not about what was asked of it."""
    return isinstance(error, OSError) or _code(error) in _PASSING


def refusal(error: Exception) -> Exception:
    """What the caller gets for an error: Unavailable for a passing one, a bug as it is."""
    if not is_passing(error):
        return error
    unavailable = Unavailable()
    unavailable.__cause__ = error
    return unavailable


class SqliteThread(Generic[C_co]):
    """Jobs in, results out. `begin` is the statement that begins each transaction."""

    def __init__(self, name: str, connect: Callable[[], C_co], *, begin: str) -> None:
        self._connect = connect
        self._begin = begin
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closing = False
        self._ailing = False

    async def start(self) -> None:
        """Connect; raises what `connect` raises."""
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        await asyncio.shield(self._started)

    async def close(self) -> None:
        """Carry out what is queued, then let go of the connection."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.shield(self._finished)

    def submit(self, work: Callable[[C_co], T]) -> asyncio.Future[T]:
        """Queue a job. It must be repeatable: it may run a second time after the first was undone."""
        if self._closing or self._jobs.qsize() >= MAX_QUEUED_JOBS:
            raise Unavailable
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, future))
        return future

    # --- in the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._connection = self._connect()
        except Exception as error:  # noqa: BLE001 - it is raised where `start` is awaited
            self._call(_fail, self._started, error)
            self._call(_succeed, self._finished)
            return
        self._call(_succeed, self._started)
        try:
            while jobs := self._next_jobs():
                outcomes = self._carry_out(jobs)
                self._watch_health(outcomes)
                self._call(_deliver, jobs, outcomes)
        finally:
            self._connection.close()
            self._call(_succeed, self._finished)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits for this any more
            pass

    def _next_jobs(self) -> Sequence[_Job]:
        """What is queued, at least one; nothing at the end."""
        jobs: list[_Job] = []
        try:
            job = self._jobs.get()
            while job is not None:
                if not job.future.cancelled():
                    jobs.append(job)
                if len(jobs) == MAX_JOBS_TOGETHER:
                    return jobs
                job = self._jobs.get(block=not jobs)
            self._jobs.put(None)  # for the next time
        except queue.Empty:
            pass
        return jobs

    def _carry_out(self, jobs: Sequence[_Job]) -> Sequence[object]:
        """The jobs' results, `_Failed` for each that failed and left nothing behind."""
        try:
            return self._together(jobs)
        except Exception as error:  # noqa: BLE001 - it is handed to those who wait for these jobs
            self._roll_back()
            if len(jobs) == 1 or _code(error) == sqlite3.SQLITE_BUSY:  # which has cost its time already
                return [_Failed(error)] * len(jobs)
        # All was lost on the account of one, which is found by halves; and a disk that is full for a large
        # job may have room for small ones. A savepoint for each job would cost all of them, always: a copy of
        # each page that they change, in a temporary file when there are more than a few.
        half = len(jobs) // 2
        return [*self._carry_out(jobs[:half]), *self._carry_out(jobs[half:])]

    def _together(self, jobs: Sequence[_Job]) -> Sequence[object]:
        self._connection.execute(self._begin)
        outcomes = [job.work(self._connection) for job in jobs]
        self._connection.execute("COMMIT")
        return outcomes

    def _roll_back(self) -> None:
        self._connection.rollback()  # not by a statement: a connection may know what is no longer true

    def _watch_health(self, outcomes: Sequence[object]) -> None:
        """Log once when the storage begins to refuse and once when it takes jobs again."""
        failed = [one.error for one in outcomes if isinstance(one, _Failed) and is_passing(one.error)]
        if failed and not self._ailing:
            log.error("SQLite refuses: %s", failed[0])
        elif self._ailing and not failed:
            log.info("SQLite takes jobs again")
        self._ailing = bool(failed)


# --- in the loop ------------------------------------------------------------------------------------------


def _succeed(future: asyncio.Future[None]) -> None:
    future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    future.set_exception(error)


def _deliver(jobs: Sequence[_Job], outcomes: Sequence[object]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, _Failed):
            job.future.set_exception(refusal(outcome.error))
        else:
            job.future.set_result(outcome)
