"""What all parts of the store on MongoDB stand on: the connection, and how its failures are told.

A method that is marked `answering` ends within the client's timeout, and raises Unavailable where MongoDB
does not do its part; whatever else goes wrong is a bug of ours.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pymongo import AsyncMongoClient, DeleteOne, UpdateMany, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, OperationFailure

from messaging.domain.errors import Unavailable
from messaging.service.carrying import carried_through
from messaging.service.ports import StoreRefused
from messaging.stores.mongodb_documents import Document, Stored
from messaging.stores.mongodb_express import Express

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

_BATCH: Final = 5_000
"""How many documents come in one answer, where there is no limit. PyMongo reads on where there are more."""

_PASSING_CODES: Final = frozenset({6, 7, 89, 134, 262, 9001})
"""HostUnreachable HostNotFound NetworkTimeout ReadConcernMajorityNotAvailableYet ExceededTimeLimit
SocketException: PyMongo tries again."""

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
    """A method that ends within the client's timeout, by Unavailable where MongoDB does not do its part; it
    is carried through."""

    async def answered(self: B, /, *args: P.args, **kwargs: P.kwargs) -> R:
        _ends_at.set(time.monotonic() + self._seconds)
        with self._working(), pymongo.timeout(self._seconds):
            return await method(self, *args, **kwargs)

    @functools.wraps(method)
    async def call(self: B, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await carried_through(answered(self, *args, **kwargs))

    return call


_ends_at: ContextVar[float] = ContextVar("_ends_at")


def seconds_left() -> float:
    """How long the method may go on that is being carried out; 0 where that is not limited."""
    return max(0.0, _ends_at.get(0.0) - time.monotonic())


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
        self.express = Express(self._client)
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
        query: Document = {"_id": {"$in": list(conversation_ids)}}
        found = await self._found(self._database["conversations"], query, shown={"_id": True})
        return frozenset([each["_id"] for each in found])

    async def _found(
        self,
        collection: AsyncCollection[Document],
        query: Document,
        *,
        shown: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None,
        skip: int = 0,
        limit: int = 0,
    ) -> Sequence[Stored]:
        """What a collection has: by an express lane where one is free, and else as PyMongo does it."""
        options: Document = {"projection": shown, "sort": sort, "skip": skip, "limit": limit}
        given = {name: option for name, option in options.items() if option}
        given["batchSize"] = limit or _BATCH
        batch = await self._batch(collection, {"find": collection.name, "filter": query, **given})
        if batch is not None:
            return batch
        found = collection.find(query, shown, skip=skip, limit=limit)
        return await (found.sort(sort) if sort else found).to_list()

    async def _first(
        self,
        collection: AsyncCollection[Document],
        query: Document,
        *,
        shown: Mapping[str, Any] | None = None,
        sort: Mapping[str, int] | None = None,
    ) -> Stored | None:
        """The first one of them, if there is one."""
        return next(iter(await self._found(collection, query, shown=shown, sort=sort, limit=1)), None)

    async def _aggregated(
        self, collection: AsyncCollection[Document], pipeline: Sequence[Document]
    ) -> Sequence[Stored]:
        """What a pipeline makes of a collection, by the same ways."""
        command = {"aggregate": collection.name, "pipeline": pipeline, "cursor": {"batchSize": _BATCH}}
        batch = await self._batch(collection, command)
        return await (await collection.aggregate(pipeline)).to_list() if batch is None else batch

    async def _batch(
        self, collection: AsyncCollection[Document], command: Document
    ) -> Sequence[Stored] | None:
        """All that a reading command gives; None where no lane is free, or one answer is too small."""
        command |= {"readConcern": collection.read_concern.document}
        reply = await self._by_lane(collection, command)
        if reply is None:
            return None
        cursor = reply["cursor"]
        if cursor["id"]:
            await self._database.command("killCursors", collection.name, cursors=[cursor["id"]])
            return None
        return cast(Sequence[Stored], cursor["firstBatch"])

    async def _updated(
        self, collection: AsyncCollection[Document], updates: Sequence[Document], *, ordered: bool = False
    ) -> Updated:
        """What came of updates (`q`, `u`, `upsert`, `multi`, as in MongoDB's command) that may be carried out
        twice: by an express lane where one is free, and else as PyMongo does it."""
        command = {"update": collection.name, "updates": updates, "ordered": ordered}
        reply = await self._written(collection, command)
        if reply is not None:
            made = frozenset(each["index"] for each in reply.get("upserted", ()))
            return Updated(reply["n"] - len(made), made)
        result = await collection.bulk_write([_operation(**each) for each in updates], ordered=ordered)
        return Updated(result.matched_count, frozenset(result.upserted_ids or ()))

    async def _deleted(self, collection: AsyncCollection[Document], queries: Sequence[Document]) -> None:
        """Delete one document for each query, by the same ways."""
        deletes = [{"q": each, "limit": 1} for each in queries]
        command = {"delete": collection.name, "deletes": deletes, "ordered": False}
        if await self._written(collection, command) is None:
            await collection.bulk_write([DeleteOne(each) for each in queries], ordered=False)

    async def _written(self, collection: AsyncCollection[Document], command: Document) -> Document | None:
        """The answer to a writing command; None where no lane is free, or not all was written for good."""
        command |= {"writeConcern": collection.write_concern.document}
        reply = await self._by_lane(collection, command)
        if reply is None or "writeErrors" in reply or "writeConcernError" in reply:
            return None
        return reply

    async def _by_lane(self, collection: AsyncCollection[Document], command: Document) -> Document | None:
        """The answer to a command; None where no lane is free, or breaks: in what time is left, PyMongo may
        have another primary."""
        seconds = seconds_left()
        lane = self.express.lane() if seconds > 0 else None
        if lane is None:
            return None
        try:
            return await lane.ask(command | {"$db": self._database.name}, collection.codec_options, seconds)
        except ConnectionFailure:
            return None
        except OperationFailure as error:
            if error.code not in _PASSING_CODES:
                raise
            return None


class Updated(NamedTuple):
    """What came of updates."""

    matched: int
    """How many documents were there."""
    made: frozenset[int]
    """Which of the updates made one."""


def _operation(
    q: Document, u: Document, *, upsert: bool = False, multi: bool = False
) -> UpdateOne | UpdateMany:
    return UpdateMany(q, u, upsert=upsert) if multi else UpdateOne(q, u, upsert=upsert)
