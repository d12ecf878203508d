"""The databases that the store contract suite runs over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.service.ports import Store
from messaging.stores.gathered import gathered
from messaging.stores.mongodb import MongoStore
from messaging.stores.sqlite import SqliteStore
from tests.stores import build
from tests.stores.build import DATABASES, Database, conversation


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of each kind."""
    match request.param:
        case build.MEMORY:
            return Database(make=lambda: gathered(SqliteStore(":memory:")))
        case build.FILE:
            return Database(make=lambda: SqliteStore(str(tmp_path / "messaging.db")))
        case _:
            uri = request.getfixturevalue("emptied_mongodb_uri")
            return Database(make=lambda: MongoStore(uri))


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """An open store on `database`, with a group `c`."""
    store = database.make()
    await store.open()
    assert await store.save(conversation("c"))
    yield store
    await store.close()


@pytest.fixture
async def second_store(database: Database, store: Store) -> AsyncIterator[Store]:
    """Another open store on the same database, as another process would have it; only with `over_shared`."""
    second = database.make()
    await second.open()
    yield second
    await second.close()
