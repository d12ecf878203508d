"""The servers under test, each a process on a core of its own, and what the kernel says of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pymongo

from scripts.benchmark.clients import token
from tests.servers import ROOT, MongoServer, RedisServer, Server, ServerProcess, with_database

NODE_FOLDER = ROOT / "scripts" / "benchmark" / "node"
SECRET = secrets.token_urlsafe(32)

OURS, NODE, PLAIN = "ours", "node", "plain"
ROOMS = ("general", "second", "third")
"""Public rooms: whoever signed in may join."""
PAIRS = 50
"""Groups of two, `pair0` of `left0` and `right0` and so on."""

_NO_LIMITS = {
    "RATE_LIMIT_MESSAGES": "10000000/second",
    "RATE_LIMIT_SIGNALS": "10000000/second",
    "RATE_LIMIT_QUERIES": "10000000/second",
    "MAX_CONNECTIONS_PER_ADDRESS": "100000",
    "MAX_CONNECTIONS_PER_USER": "100000",
    "DEFAULT_ROOMS": ",".join(ROOMS),
}


class NodeServer(ServerProcess):
    """The peer in Node."""

    name = "node"

    def command(self) -> Sequence[str]:
        node = shutil.which("node")
        assert node is not None
        return [node, "--expose-gc", str(NODE_FOLDER / "server.js")]


def has_node() -> bool:
    """Whether Node is there, with the packages of the peer."""
    return shutil.which("node") is not None and (NODE_FOLDER / "node_modules" / "socket.io").is_dir()


def ours(folder: Path, mongodb: str | None, environment: Mapping[str, str] | None = None) -> ServerProcess:
    """Our server, on MongoDB or else on SQLite."""
    stored = {} if mongodb is None else {"MONGODB_URI": mongodb}
    return ServerProcess(
        folder,
        {"JWT_SECRET": SECRET, "LOG_LEVEL": "WARNING", **_NO_LIMITS, **stored, **(environment or {})},
    )


def node(folder: Path, mongodb: str) -> ServerProcess:
    """Socket.IO and the MongoDB driver."""
    return NodeServer(folder, {"JWT_SECRET": SECRET, "MONGODB_URI": mongodb, "NODE_ENV": "production"})


def plain(folder: Path, mongodb: str) -> ServerProcess:
    """python-socketio."""
    return ServerProcess(
        folder,
        {"JWT_SECRET": SECRET, "MONGODB_URI": mongodb},
        arguments=("-m", "scripts.benchmark.plain"),
    )


# --- the same conversations everywhere ---


def pair_members(number: int) -> tuple[str, str]:
    """Who talks in `pair<number>`."""
    return f"left{number}", f"right{number}"


def found_ours(server: ServerProcess, pairs: int) -> None:
    """Make the pairs in our server, as a host application would."""
    headers = {
        "Authorization": "Bearer " + token(SECRET, "host", "service"),
        "Content-Type": "application/json",
    }
    for number in range(pairs):
        request = urllib.request.Request(
            f"{server.url}/api/conversations/pair{number}",
            json.dumps({"kind": "group", "memberIds": pair_members(number)}).encode(),
            headers,
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status < 300


def found_theirs(mongodb: str, pairs: int) -> None:
    """Write rooms and pairs into a peer's database."""
    with pymongo.MongoClient[dict[str, Any]](mongodb) as client:
        database = client.get_default_database()
        rooms = [{"_id": room, "public": True} for room in ROOMS]
        groups = [{"_id": f"pair{number}", "public": False} for number in range(pairs)]
        database["conversations"].insert_many([*rooms, *groups])
        database["members"].insert_many(
            {"conversationId": f"pair{number}", "userId": user}
            for number in range(pairs)
            for user in pair_members(number)
        )


# --- cores, time and memory ---


def threads(pid: int) -> Iterable[int]:
    """The threads of a process."""
    return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]


def pin(pid: int, cores: Sequence[int]) -> None:
    """Let a process, with all threads that it has and will have, run on these cores only."""
    for thread in threads(pid):
        with suppress(ProcessLookupError):  # a thread that has ended since it was listed
            os.sched_setaffinity(thread, cores)


def cpu_seconds(pid: int) -> float:
    """The CPU time that all threads of a process have used so far, in the kernel's nanoseconds."""
    total = 0
    for thread in threads(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def waiting_seconds(pid: int) -> float:
    """How long its main thread has waited, so far, for a core that somebody else had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def resident_bytes(pid: int) -> int:
    """What a process holds of the memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tidy(server: Server) -> None:
    """Ask a peer to give garbage back before its memory is read; only the one in Node knows how."""
    if isinstance(server, NodeServer):
        os.kill(server.pid, signal.SIGUSR2)


class Stage:
    """What all rows share: cores, one MongoDB, one Redis, and the peers, each started when first needed."""

    def __init__(self, folder: Path) -> None:
        available = sorted(os.sched_getaffinity(0))
        self.server_cores, self.load_cores = available[:1], available[1:] or available
        self.folder = folder
        self._running: dict[str, Server] = {}
        self._made: list[Server] = []
        self._names = iter(range(1_000_000))

    def __enter__(self) -> Stage:
        os.sched_setaffinity(0, self.load_cores)
        return self

    def __exit__(self, wrong: type[BaseException] | None, *_: object) -> None:
        for server in reversed(self._running.values()):
            server.kill()
        for server in self._made if wrong is not None else ():
            if server.log:
                print(f"--- {server.folder.name}:\n{server.log[-2000:]}", file=sys.stderr)

    @property
    def mongodb(self) -> Server:
        """A MongoDB beside the load."""
        return self._once("mongod", lambda: MongoServer(self.folder / "mongod"), self.load_cores)

    @property
    def redis(self) -> Server:
        """A Redis beside the load."""
        return self._once("redis", lambda: RedisServer(self.folder / "redis"), self.load_cores)

    async def start(self, names: Iterable[str]) -> None:
        """Start these peers, at the same time."""
        if not names:
            return
        await asyncio.to_thread(lambda: self.mongodb)
        await asyncio.gather(*(asyncio.to_thread(self.peer, name) for name in names))

    def peer(self, name: str) -> ServerProcess:
        """The peer of this name; the same one for all rows."""
        server = self._once(name, lambda: self._make(name), self.server_cores)
        assert isinstance(server, ServerProcess)
        return server

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[ServerProcess]:
        """A peer of this name that serves nobody else, for a while."""
        server = self._make(name)
        self._made.append(server)
        with server:
            pin(server.pid, self.server_cores)
            yield server

    @contextlib.contextmanager
    def two(self) -> Iterator[tuple[ServerProcess, ServerProcess]]:
        """Two processes that are one service; the second runs beside the load."""
        shared = {"REDIS_URL": f"redis://127.0.0.1:{self.redis.port}/0"}
        uri = self.database(f"two{next(self._names)}")
        with (
            ours(self.folder / f"two{next(self._names)}", uri, shared) as first,
            ours(self.folder / f"two{next(self._names)}", uri, shared) as second,
        ):
            pin(first.pid, self.server_cores)
            pin(second.pid, self.load_cores)
            found_ours(first, PAIRS)
            yield first, second

    def helpers(self) -> list[int]:
        """The processes that run beside the load and belong to it."""
        return [self._running[name].pid for name in ("mongod", "redis") if name in self._running]

    def database(self, name: str) -> str:
        """A database of this name."""
        assert isinstance(self.mongodb, MongoServer)
        return with_database(self.mongodb.url, name)

    def _once(self, name: str, make: Callable[[], Server], cores: Sequence[int]) -> Server:
        if name not in self._running:
            server = make()
            self._made.append(server)
            self._running[name] = server.start()
            pin(server.pid, cores)
            if name.startswith(OURS):
                found_ours(cast(ServerProcess, server), PAIRS)
        return self._running[name]

    def _make(self, name: str) -> ServerProcess:
        unique = f"{name}{next(self._names)}"
        folder = self.folder / unique
        match name:
            case "ours-sqlite":
                return ours(folder, None)
            case "ours-info":
                return ours(folder, self.database(unique), {"LOG_LEVEL": "INFO"})
            case "ours":
                return ours(folder, self.database(unique))
            case _:
                return self._make_theirs(name, folder, self.database(unique))

    def _make_theirs(self, name: str, folder: Path, mongodb: str) -> ServerProcess:
        found_theirs(mongodb, PAIRS)
        return (node if name == NODE else plain)(folder, mongodb)
