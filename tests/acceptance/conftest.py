"""The service that the tests of one module share, and the stage on which each of them plays."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import FREELY, Stage
from tests.clients import NodeClients
from tests.conftest import missing
from tests.http import http_client
from tests.servers import RedisServer, ServerProcess, program, with_database

Service = Callable[..., tuple[ServerProcess, ...]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`service(environment, processes=1, **how)` starts the real server, for all tests of a module."""
    with ExitStack() as running:

        def start(
            environment: Mapping[str, str], processes: int = 1, **how: Any
        ) -> tuple[ServerProcess, ...]:
            folders = [tmp_path_factory.mktemp("server") for _ in range(processes)]
            servers = [ServerProcess(folder, {**FREELY, **environment}, **how) for folder in folders]
            for server in servers:
                running.callback(server.kill)
                server.start()
            return tuple(servers)

        yield start


@pytest.fixture(scope="module")
def on_mongodb_and_redis(
    mongodb_server_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Settings of a service with a database and a Redis of its own, as in production."""
    if program("redis-server") is None:
        missing("redis-server")
    uri = with_database(mongodb_server_uri, f"test_{uuid.uuid4().hex}")
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield {"MONGODB_URI": uri, "REDIS_URL": redis.url}


@pytest.fixture(scope="module")
def servers(service: Service) -> tuple[ServerProcess, ...]:
    """The processes that `stage` speaks to: one, on SQLite. Modules override it."""
    return service({})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A session for requests."""
    async with http_client(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def stage(servers: tuple[ServerProcess, ...], clients: NodeClients, http: aiohttp.ClientSession) -> Stage:
    """The module's service with clients of the test's own."""
    return Stage(servers=servers, clients=clients, http=http)


@pytest.fixture
async def sockets(stage: Stage) -> AsyncIterator[Sockets]:
    """Clients of the plain WebSockets of the module's service, which end with the test."""
    async with Sockets.of(stage) as opened:
        yield opened
