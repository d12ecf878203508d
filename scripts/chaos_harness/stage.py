"""The programs of a run, each in a process of its own, with its data in a folder of the run."""

from __future__ import annotations

import resource
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Literal, Self, TypeVar

from scripts.chaos_harness.people import ENVIRONMENT, Crowd, crowd
from scripts.chaos_harness.proxy import Proxy
from scripts.chaos_harness.replica_set import ReplicaSet
from tests.servers import MongoServer, RedisServer, Server, ServerProcess, with_database

Kind = Literal["sqlite", "mongodb"]
DATABASE = "chaos"
WORKERS = ("-m", "messaging", "serve", "--workers", "2")

S = TypeVar("S", bound=Server)
P = TypeVar("P", bound=Proxy)


class Stage:
    """Starts programs and people, and ends all of them with its block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def act(self) -> AsyncIterator[Stage]:
        """A stage within this one, for a part of a run that ends earlier."""
        async with Stage(self._folder / f"act-{next(self._numbers)}") as stage:
            yield stage

    async def redis(self) -> RedisServer:
        """A Redis."""
        return await self._start(RedisServer(self._next("redis")))

    async def mongodb(self) -> MongoServer:
        """A MongoDB, as a replica set of one."""
        return await self._start(MongoServer(self._next("mongodb")))

    async def replica_set(self, nodes: int) -> ReplicaSet:
        """A MongoDB of several nodes."""
        replica_set = ReplicaSet(self._next("replica-set"), nodes)
        self._stack.push_async_callback(to_thread, replica_set.kill)
        await to_thread(replica_set.start)
        return replica_set

    async def server(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = ("-m", "messaging", "serve"),
    ) -> ServerProcess:
        """The messaging server, on SQLite unless the environment says otherwise."""
        everything = {**ENVIRONMENT, **(environment or {})}
        return await self._start(ServerProcess(self._next("server"), everything, arguments=arguments))

    async def server_on(self, kind: Kind, environment: Mapping[str, str] | None = None) -> ServerProcess:
        """One server on this kind of store."""
        more = dict(environment or {})
        if kind == "mongodb":
            more["MONGODB_URI"] = database_of((await self.mongodb()).url)
        return await self.server(more)

    async def pair(
        self, environment: Mapping[str, str] | None = None, *, redis_url: str | None = None
    ) -> tuple[ServerProcess, ServerProcess]:
        """Two servers that are one service, on one MongoDB and one Redis."""
        shared = {
            "MONGODB_URI": database_of((await self.mongodb()).url),
            "REDIS_URL": redis_url or (await self.redis()).url,
            **(environment or {}),
        }
        return await self.server(shared), await self.server(shared)

    async def workers(self) -> ServerProcess:
        """One server of two workers, on a MongoDB and a Redis."""
        mongodb, redis = await self.mongodb(), await self.redis()
        environment = {"MONGODB_URI": database_of(mongodb.url), "REDIS_URL": redis.url}
        return await self.server(environment, arguments=WORKERS)

    async def proxy(self, proxy: P) -> P:
        """A proxy, listening."""
        await proxy.start()
        self._stack.push_async_callback(proxy.close)
        return proxy

    async def crowd(self, *bases: str) -> Crowd:
        """People at the servers at these addresses."""
        return await self._stack.enter_async_context(crowd(*bases))

    def _next(self, name: str) -> Path:
        return self._folder / f"{name}-{next(self._numbers)}"

    async def _start(self, server: S) -> S:
        self._stack.push_async_callback(to_thread, server.kill)
        await to_thread(server.start)
        return server


def database_of(url: str) -> str:
    """The URI of this run's database in a MongoDB."""
    return with_database(url, DATABASE)


def allow_many_files() -> None:
    """Let this process, and so those that it starts, have as many connections as the system allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
