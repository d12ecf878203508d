"""Stores keep: one file per database, behind `service.ports.Store`."""

from __future__ import annotations

from collections.abc import Callable

from messaging.service.ports import Store


def open_store(url: str, *, ids: Callable[[], int]) -> Store:
    """The store at a MongoDB URI, or in the SQLite file of that path. Connects to nothing yet.

    `ids` makes another message id where one is taken already.
    """
    if url.startswith(("mongodb://", "mongodb+srv://")):
        from messaging.stores.mongodb import MongoStore

        return MongoStore(url, ids=ids)
    from messaging.stores.sqlite import SqliteStore

    return SqliteStore(url)
