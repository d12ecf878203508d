"""Finding messages, in SQLite: the port's coroutines, and when is indexed. How is in `sqlite_search`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from messaging.domain.errors import Unavailable
from messaging.domain.models import Message
from messaging.domain.words import Query
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_search
from messaging.stores.sqlite_base import SqliteBase

logger = logging.getLogger(__name__)


class SqliteFinding(SqliteBase):
    """`Finding` (messaging.service.finding)."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._unindexed = 0
        """About how many messages are not indexed yet."""
        self._indexing: asyncio.Task[None] | None = None

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
        if self._indexing is not None:
            await self._indexing

    def _index_later(self, messages: int) -> None:
        """So many messages were written. They are indexed when there are enough."""
        self._unindexed += messages
        if self._unindexed >= sqlite_search.TOGETHER and self._indexing is None:
            self._indexing = asyncio.create_task(self._index(), name="sqlite-index")

    async def _index(self) -> None:
        """Step by step, so that those who write meanwhile need not wait for all of it."""
        try:
            while self._unindexed >= sqlite_search.TOGETHER:
                self._unindexed = await self._write(sqlite_search.index, sqlite_search.TOGETHER)
        except Unavailable:
            self._unindexed = 0  # each search looks through them; the next hundreds are another occasion
        except Exception:
            self._unindexed = 0
            logger.exception("messages could not be indexed")
        finally:
            self._indexing = None
