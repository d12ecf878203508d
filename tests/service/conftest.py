"""A stage for every test of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.files.folder import FolderFiles
from messaging.service.ports import Store
from messaging.service.ports_uploads import Files
from messaging.stores.mongodb import MongoStore
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.real)])
def store(request: pytest.FixtureRequest) -> Store:
    """One of each kind, not open yet."""
    if request.param == "sqlite":
        return SqliteStore(":memory:")
    return MongoStore(request.getfixturevalue("emptied_mongodb_uri"))


@pytest.fixture
async def files(tmp_path: Path) -> Files:
    """Where uploads are: the folder `uploads`."""
    kept = FolderFiles(tmp_path / "uploads")
    await kept.open()
    return kept
