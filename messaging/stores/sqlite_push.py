"""Where users' browsers can be reached, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from messaging.domain.pushing import Subscription
from messaging.stores import sqlite_rows as rows
from messaging.stores.sqlite_base import SqliteBase


class SqlitePush(SqliteBase):
    """`Subscriptions` (messaging.service.ports_push)."""

    async def put_subscription(self, subscription: Subscription, *, at_most: int) -> bool:
        return await self._write(_put, subscription, at_most)

    async def subscriptions(self, user_ids: Collection[str]) -> Sequence[Subscription]:
        return await self._read(_of, user_ids)

    async def drop_subscription(self, endpoint: str, *, user_id: str | None = None) -> bool:
        return await self._write(_drop, endpoint, user_id)


def _put(db: sqlite3.Connection, subscription: Subscription, at_most: int) -> bool:
    endpoint, user_id = subscription.endpoint, subscription.user_id
    there = db.execute("SELECT user_id FROM push_subscriptions WHERE endpoint = ?", (endpoint,)).fetchone()
    db.execute(
        "INSERT OR REPLACE INTO push_subscriptions VALUES (?, ?, ?, ?, ?)",
        (
            *(endpoint, user_id, subscription.p256dh, subscription.auth),
            rows.milliseconds(subscription.created_at),
        ),
    )
    db.execute(
        """
        DELETE FROM push_subscriptions WHERE endpoint IN (
            SELECT endpoint FROM push_subscriptions WHERE user_id = ?1 AND endpoint <> ?2
            ORDER BY created_at DESC, endpoint LIMIT -1 OFFSET ?3
        )
        """,
        (user_id, endpoint, at_most - 1),
    )
    return there is None or there["user_id"] != user_id


def _of(db: sqlite3.Connection, user_ids: Collection[str]) -> Sequence[Subscription]:
    found = db.execute(
        "SELECT * FROM push_subscriptions WHERE user_id IN (SELECT value FROM json_each(?))",
        (rows.json_list(user_ids),),
    )
    return [
        Subscription(
            user_id=row["user_id"],
            endpoint=row["endpoint"],
            p256dh=row["p256dh"],
            auth=row["auth"],
            created_at=rows.time_of(row["created_at"]),
        )
        for row in found
    ]


def _drop(db: sqlite3.Connection, endpoint: str, user_id: str | None) -> bool:
    gone = db.execute(
        "DELETE FROM push_subscriptions WHERE endpoint = ?1 AND (?2 IS NULL OR user_id = ?2)",
        (endpoint, user_id),
    )
    return gone.rowcount == 1
