"""Whoever stops waiting for MongoDB, whenever that is, leaves the connection to it in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from messaging.domain.errors import Unavailable
from messaging.stores.mongodb import MongoStore
from tests.proxy import Proxy

pytestmark = pytest.mark.real

ASKING = 100
ROUND_SECONDS = 0.5
"""How often PyMongo looks for a server."""
BACK_SECONDS = 15.0


async def test_who_gives_up_while_mongodb_is_away_does_not_keep_it_away(
    mongodb_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = urlsplit(mongodb_uri)
    assert parts.port is not None
    async with Proxy.to(parts.port) as proxy:
        store = MongoStore(f"mongodb://127.0.0.1:{proxy.port}{parts.path}?directConnection=true")
        await store.open()
        proxy.closed = True
        proxy.cut()
        asking = [asyncio.create_task(_asked(store)) for _ in range(ASKING)]
        await asyncio.sleep(ROUND_SECONDS)  # PyMongo is about to look once more
        for task in asking:
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # as when a process ends in which a time limit has run out
            await asyncio.sleep(0)
        proxy.closed = False
        async with asyncio.timeout(BACK_SECONDS):
            while not await _asked(store):
                pass
        await store.close()
        assert not caplog.records, "nobody is told of what nobody waits for"


async def _asked(store: MongoStore) -> bool:
    with suppress(Unavailable):
        await store.ping()
        return True
    return False
