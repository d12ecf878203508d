"""All that has to be known of users who come, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from messaging.domain.arrivals import Arrival
from messaging.stores import sqlite_reads as reads
from messaging.stores.sqlite_base import SqliteBase
from messaging.stores.sqlite_inbox import positions_of
from messaging.stores.sqlite_moderation import blocks_of


def arrivals(db: sqlite3.Connection, user_ids: Collection[str]) -> Mapping[str, Arrival]:
    """See `Arrivals.arrivals`."""
    positions = positions_of(db, user_ids)
    users, blocked = reads.users(db, user_ids), blocks_of(db, user_ids)
    memberships = reads.memberships(db, user_ids)
    return {
        user_id: Arrival(
            user=users.get(user_id),
            position=positions[user_id],
            blocked=blocked.get(user_id, frozenset()),
            memberships=tuple(memberships.get(user_id, ())),
        )
        for user_id in user_ids
    }


class SqliteArrivals(SqliteBase):
    """`Arrivals` (messaging.service.ports_arrivals)."""

    async def arrivals(self, user_ids: Collection[str]) -> Mapping[str, Arrival]:
        return await self._read(arrivals, tuple(user_ids))
