"""Finding messages, in SQLite: the port's coroutines. How it is done is in `sqlite_search`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from messaging.domain.models import Message
from messaging.domain.words import Query
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_search
from messaging.stores.sqlite_base import SqliteBase


class SqliteFinding(SqliteBase):
    """`Finding` (messaging.service.finding)."""

    async def member_of(self, user_id: str) -> frozenset[str]:
        return await self._read(reads.member_of, user_id)

    async def search(
        self, query: Query, *, conversation_ids: Collection[str], before: int | None = None, limit: int
    ) -> Sequence[Message]:
        return await self._search(sqlite_search.find, query, frozenset(conversation_ids), before, limit)
