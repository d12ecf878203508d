"""The databases that the store contract suite runs over."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.service.ports import Store
from messaging.stores.sqlite import SqliteStore
from tests.stores import build
from tests.stores.build import DATABASES, Database, conversation


def _mongodb(request: pytest.FixtureRequest) -> Database:
    if importlib.util.find_spec("messaging.stores.mongodb") is None:
        pytest.skip("messaging/stores/mongodb.py is not there yet")
    uri = request.getfixturevalue("mongodb_uri")
    module = importlib.import_module("messaging.stores.mongodb")
    return Database(make=lambda: module.MongoStore(uri))


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of each kind."""
    match request.param:
        case build.MEMORY:
            return Database(make=lambda: SqliteStore(":memory:"))
        case build.FILE:
            return Database(make=lambda: SqliteStore(str(tmp_path / "messaging.db")))
        case _:
            return _mongodb(request)


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
