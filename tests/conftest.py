"""Fixtures that every test may ask for: real servers, real clients, a browser.

A part that this machine lacks skips the tests that ask for it, and fails them when CI=true or REQUIRE_ALL=1.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pymongo
import pytest
import redis
from hypothesis import settings
from pymongo.database import Database

from tests.clients import NODE_SCRIPTS, NodeClients
from tests.servers import ROOT, MongoServer, RedisServer, ServerProcess, program, with_database

REQUIRE_ALL = os.environ.get("CI") == "true" or os.environ.get("REQUIRE_ALL") == "1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Tests with one of these are `real`: left out by scripts/check.
REAL_FIXTURES = {
    *("mongodb_server_uri", "mongodb_uri", "emptied_mongodb_uri", "own_mongodb"),
    *("redis_server_url", "redis_url", "own_redis"),
    *("serve", "service", "node", "clients", "chromium", "asyncapi_parser"),
}

Serve = Callable[..., ServerProcess]

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")  # how long an example takes says how busy the machine is


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        from tests import side_by_side

        config.pluginmanager.register(side_by_side)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # A parameter may have the name of a fixture, and is not one.
        parameters = getattr(getattr(item, "callspec", None), "params", ())
        if REAL_FIXTURES.intersection(getattr(item, "fixturenames", ())).difference(parameters):
            item.add_marker(pytest.mark.real)


def missing(part: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be left out."""
    if REQUIRE_ALL:
        pytest.fail(f"{part} is missing, and CI or REQUIRE_ALL allows no gap", pytrace=False)
    pytest.skip(f"{part} is missing")


@pytest.fixture(scope="session")
def mongodb_server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The MongoDB that all tests share; ask for `mongodb_uri` instead."""
    if uri := os.environ.get("MONGODB_TEST_URI"):
        yield uri
        return
    if program("mongod") is None:
        missing("mongod (with libcurl4)")
    with MongoServer(tmp_path_factory.mktemp("mongodb")) as server:
        yield server.url


@pytest.fixture
def mongodb_uri(mongodb_server_uri: str) -> Iterator[str]:
    """A MongoDB URI with an empty database of the test's own, dropped afterwards."""
    database = f"test_{uuid.uuid4().hex}"
    yield with_database(mongodb_server_uri, database)
    with pymongo.MongoClient[Mapping[str, object]](mongodb_server_uri) as client:
        client.drop_database(database)


@pytest.fixture(scope="session")
def kept_database(mongodb_server_uri: str) -> Iterator[Database[Mapping[str, object]]]:
    """A database that is kept from test to test; ask for `emptied_mongodb_uri` instead."""
    with pymongo.MongoClient[Mapping[str, object]](mongodb_server_uri) as client:
        database = client[f"test_{uuid.uuid4().hex}"]
        yield database
        client.drop_database(database)


@pytest.fixture
def emptied_mongodb_uri(mongodb_server_uri: str, kept_database: Database[Mapping[str, object]]) -> str:
    """A MongoDB URI with an empty database that has the collections and indexes of earlier tests.

    To make them takes longer than most tests do. For tests that have closed their store when they end: what
    a server does that was killed meanwhile could still come.
    """
    for collection in kept_database.list_collection_names():
        kept_database[collection].delete_many({})
    return with_database(mongodb_server_uri, kept_database.name)


@pytest.fixture
def own_mongodb(tmp_path: Path) -> Iterator[MongoServer]:
    """A MongoDB for this test alone, which may kill, pause and restart it."""
    if program("mongod") is None:
        missing("mongod (with libcurl4)")
    with MongoServer(tmp_path / "mongodb") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis that all tests share; ask for `redis_url` instead."""
    if url := os.environ.get("REDIS_TEST_URL"):
        yield url
        return
    if program("redis-server") is None:
        missing("redis-server")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """The URL of an empty Redis; one that was given by REDIS_TEST_URL is left as it is."""
    if "REDIS_TEST_URL" not in os.environ:
        with redis.Redis.from_url(redis_server_url) as client:
            client.flushall()
    return redis_server_url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for this test alone, which may kill, pause and restart it."""
    if program("redis-server") is None:
        missing("redis-server")
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(environment)` starts the real server in a process of its own and waits until it is ready.

    Each has a folder of its own; two with the same MONGODB_URI and REDIS_URL are one service. They end with
    the test.
    """
    servers: list[ServerProcess] = []

    def start(
        environment: Mapping[str, str] | None = None, *, port: int | None = None, **how: Any
    ) -> ServerProcess:
        server = ServerProcess(tmp_path / f"server-{len(servers) + 1}", environment, port=port, **how)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node, with the clients of tests/node installed."""
    path = shutil.which("node")
    if path is None or not (NODE_SCRIPTS / "node_modules" / "socket.io-client").is_dir():
        missing("Node with the clients of tests/node (npm ci)")
    return path


@pytest.fixture(scope="session")
def asyncapi_parser() -> tuple[str, ...]:
    """The command that tells what the official parser says of an AsyncAPI document on its standard input."""
    folder, path = ROOT / "tests" / "asyncapi", shutil.which("node")
    if path is None or not (folder / "node_modules" / "@asyncapi" / "parser").is_dir():
        missing("Node with the parser of tests/asyncapi (npm ci)")
    return path, str(folder / "check.js")


@pytest.fixture
async def clients(node: str) -> AsyncIterator[NodeClients]:
    """Real socket.io-clients, which end with the test."""
    async with NodeClients.running() as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; root has to start it with --no-sandbox."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    missing("Chromium")
