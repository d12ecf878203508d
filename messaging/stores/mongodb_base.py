"""What all parts of the store on MongoDB stand on: the connection, and how its failures are told.

A method that is marked `answering` ends within the client's timeout, and raises Unavailable where MongoDB
does not do its part; whatever else goes wrong is a bug of ours.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from messaging.domain.errors import Unavailable
from messaging.service.ports import StoreRefused
from messaging.stores.mongodb_documents import Document

DEFAULT_DATABASE: Final = "messaging"
_DEFAULT_OPTIONS: Final[Mapping[str, Any]] = {
    "serverSelectionTimeoutMS": 3000,
    # The port promises an answer within 5 seconds. PyMongo, looking for a server, notices the end of its time
    # up to half a second late, and goes by this limit alone even where serverSelectionTimeoutMS is shorter.
    "timeoutMS": 4400,
    "appname": "messaging",
}

# Wrong commands, filters or indexes of ours: a bug, not an outage.
_BUG_CODES: Final = frozenset(
    {
        *(
            2,
            9,
            14,
            40,
            52,
            59,
        ),  # BadValue FailedToParse TypeMismatch ConflictingUpdate… DollarPrefixed… NoCommand
        *(85, 86),  # IndexOptionsConflict IndexKeySpecsConflict
        11000,  # DuplicateKey, where none was expected
    }
)

P = ParamSpec("P")
R = TypeVar("R")
B = TypeVar("B", bound="MongoBase")
Method = Callable[Concatenate[B, P], Coroutine[Any, Any, R]]


class NotAReplicaSet(StoreRefused):
    """The MongoDB server does not belong to a replica set."""

    def __init__(self) -> None:
        super().__init__(
            "MongoDB has to run as a replica set (one node is enough), or neither transactions nor durable "
            "writes work: start mongod with --replSet rs0 and run rs.initiate() once in mongosh."
        )


def answering(method: Method[B, P, R]) -> Method[B, P, R]:
    """A method that ends within the client's timeout, by Unavailable where MongoDB does not do its part."""

    @functools.wraps(method)
    async def call(self: B, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._working(), pymongo.timeout(self._seconds):
            return await method(self, *args, **kwargs)

    return call


class MongoBase:
    """A connection to the database that `uri` names, or to `messaging`. Timeouts in the URI win over ours."""

    def __init__(self, uri: str) -> None:
        given = {name.lower() for name, _ in parse_qsl(urlsplit(uri).query)}
        options = {name: each for name, each in _DEFAULT_OPTIONS.items() if name.lower() not in given}
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(
            uri,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            readPreference="primary",
            tz_aware=True,
            tzinfo=UTC,
            **options,
        )
        self._seconds: float = self._client.options.timeout or 5.0
        self._database = self._client.get_default_database(DEFAULT_DATABASE)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self._closed:
            raise Unavailable
        self._running += 1
        self._idle.clear()
        try:
            yield
        except (ConnectionFailure, OperationFailure) as error:
            if isinstance(error, OperationFailure) and error.code in _BUG_CODES:
                raise
            raise Unavailable from error
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()

    async def _existing(self, conversation_ids: Collection[str]) -> frozenset[str]:
        """Of deleted conversations nothing is kept any more: it would wait for a later namesake."""
        if not conversation_ids:
            return frozenset()
        found = self._database["conversations"].find({"_id": {"$in": list(conversation_ids)}}, {"_id": True})
        return frozenset([each["_id"] async for each in found])
