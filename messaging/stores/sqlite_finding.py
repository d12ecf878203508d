"""Finding messages, in SQLite: the port's coroutines, and when is indexed. How is in `sqlite_search`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final

from messaging.domain.errors import Unavailable
from messaging.domain.models import Message
from messaging.domain.words import Query
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_search
from messaging.stores.sqlite_base import SqliteBase

logger = logging.getLogger(__name__)

_ALONE_SECONDS: Final = 0.1
"""After so long what is enough is indexed alone."""


class SqliteFinding(SqliteBase):
    """`Finding` (messaging.service.finding)."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._unindexed = 0
        """About how many messages are not indexed yet."""
        self._indexing = False
        self._timer: asyncio.TimerHandle | None = None

    async def member_of(self, user_id: str) -> frozenset[str]:
        return await self._read(reads.member_of, user_id)

    async def search(
        self, query: Query, *, conversation_ids: Collection[str], before: int | None = None, limit: int
    ) -> Sequence[Message]:
        return await self._search(sqlite_search.find, query, frozenset(conversation_ids), before, limit)

    async def _start(self) -> None:
        await super()._start()
        self._index_later(sqlite_search.TOGETHER)  # the process before may have left as many

    async def close(self) -> None:
        await super().close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unindexed = 0

    def _index_later(self, messages: int) -> None:
        """So many messages were written. They are indexed when there are enough: with the next that are,
        so that both wait for the disk once, or alone when none come for a moment."""
        self._unindexed += messages
        if self._unindexed >= sqlite_search.TOGETHER and not self._indexing and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ALONE_SECONDS, self._index)

    def _index_with_next(self) -> None:
        """The caller is about to write messages, before anything else happens."""
        if self._timer is not None:
            self._index()

    def _index(self) -> None:
        """One step, so that those who write meanwhile need not wait for all of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is None:
            return
        try:
            step = self._writer.submit(lambda db: sqlite_search.index(db, sqlite_search.TOGETHER))
        except Unavailable:
            self._unindexed = 0
            return
        self._indexing = True
        step.add_done_callback(self._indexed)

    def _indexed(self, step: asyncio.Future[int]) -> None:
        self._indexing = False
        error = step.exception()
        if error is not None:  # each search looks through them; the next hundreds are another occasion
            self._unindexed = 0
            if not isinstance(error, Unavailable):
                logger.error("messages could not be indexed", exc_info=error)
            return
        self._unindexed = step.result()
        if self._unindexed >= sqlite_search.TOGETHER:
            self._index()
