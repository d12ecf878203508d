"""Real programs for the tests: MongoDB, Redis and the messaging server itself, each as an object.

    with RedisServer(folder) as redis:
        redis.url, redis.pause(), redis.resume(), redis.kill(), redis.restart() …

A server keeps its port and its data over `stop`, `kill` and `restart`; the folder belongs to the caller. All
methods block until what they promise is true or a limit has passed; an async test wraps them:
`await to_thread(redis.kill)`. No server outlives the test run, however that ends.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import pymongo
import redis
from pymongo.errors import OperationFailure, PyMongoError

ROOT = Path(__file__).resolve().parent.parent
FETCHED = ROOT / ".venv" / "servers" / "bin"  # where scripts/test puts the programs that it fetched

START_SECONDS = 60.0
STOP_SECONDS = 25.0  # the server promises to be out within 20

# All that a messaging server inherits: whoever runs the tests may have a JWT_SECRET of their own.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")

# The kernel kills a child with this mark when the *thread* that started it ends; so all are started by one
# thread that lives as long as the run. The mark is set by the child itself, since Python warns about
# `preexec_fn` beside threads; when the run is gone by then, there is nothing left to do.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_starter = ThreadPoolExecutor(1, thread_name_prefix="starts-servers")


class ServerFailed(Exception):
    """A server did not become what it was waited for; the text ends with the end of its log."""


@functools.cache
def program(name: str) -> Path | None:
    """The program called `name`, from the PATH or fetched by scripts/test; None when none runs."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{FETCHED}")
    if found is None:
        return None
    # A mongod without libcurl4 is there and does not run.
    runs = subprocess.run([found, "--version"], capture_output=True, timeout=30).returncode == 0
    return Path(found) if runs else None


def own_ports() -> range:
    """The ports of this process: where pytest-xdist runs several, no other takes the port of a server that
    restarts. All are below the range from which the system serves clients."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(15_000 + worker, 32_000, workers)


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection takes while a server restarts."""
    while True:
        port = random.choice(own_ports())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.02) -> bool:
    """Whether `condition` became true within `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(every)
    return True


class Server:
    """A program on a port of 127.0.0.1, with its data and `server.log` in `folder`."""

    name: ClassVar[str]

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """All that it has printed, over all its starts."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        if self.running:
            raise ServerFailed(f"{self.name} is already running")
        self.folder.mkdir(parents=True, exist_ok=True)
        process = self._process = _starter.submit(self._launch).result()
        wait_until(lambda: process.poll() is not None or self.ready(), START_SECONDS)
        if process.poll() is not None or not self.ready():
            self.kill()
            raise ServerFailed(f"{self.name} did not get ready:\n{self.log[-4000:]}")
        return self

    def stop(self) -> int:
        """End it with SIGTERM, as an operator would; its exit code."""
        if self._process is None:
            return 0
        if self.running:
            self.resume()
            self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"{self.name} ignored SIGTERM:\n{self.log[-4000:]}") from None

    def kill(self) -> None:
        """End it with SIGKILL: nothing is flushed, nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> Self:
        """Stop it and start it again on the same port with the same data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def command(self) -> Sequence[str]:
        """The program with its arguments."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """All of its environment."""
        return os.environ

    def _launch(self) -> subprocess.Popen[bytes]:
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *self.command()],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


_CLOSED_SOON = "close_idle_time=5,close_handle_minimum=250,close_scan_interval=2"


class MongoServer(Server):
    """A one-node replica set, journalled, so that transactions and `w: majority` mean what they say."""

    name = "mongod"
    parameters: ClassVar[tuple[str, ...]] = ("diagnosticDataCollectionEnabled=false",)

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet=rs0"

    def command(self) -> Sequence[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return [
            *(str(program("mongod")), "--dbpath", str(data), "--replSet", "rs0", "--oplogSize", "64"),
            *("--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket", "--quiet"),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *(word for parameter in self.parameters for word in ("--setParameter", parameter)),
            # Every test has a database, of some seventy files. Dropped ones would stay open for ten minutes,
            # until mongod has more open than it may.
            *("--wiredTigerEngineConfigString", f"file_manager=({_CLOSED_SOON})"),
        ]

    def ready(self) -> bool:
        """Whether it is primary; makes the replica set at the first start."""
        client: pymongo.MongoClient[dict[str, Any]]
        with pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=200, timeoutMS=5000
        ) as client:
            try:
                hello = client.admin.command("hello")
                if not hello.get("setName") and hello.get("isreplicaset"):
                    members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
            except OperationFailure as failure:
                if failure.code != 23:  # AlreadyInitialized
                    raise
            except PyMongoError:  # not listening yet
                return False
            return bool(hello["isWritablePrimary"])


class RedisServer(Server):
    """A Redis that keeps nothing on disk, like a hosted one: after a restart it is empty."""

    name = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        return [
            *(str(program("redis-server")), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder), "--loglevel", "warning"),
        ]

    def ready(self) -> bool:
        client = redis.Redis(port=self.port, socket_timeout=1, socket_connect_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


class ServerProcess(Server):
    """The messaging server as users run it; `environment` is all that it is told, beside `PORT`.

    It runs in `folder`, and so do its SQLite file and secret unless the environment names others.
    """

    name = "messaging"

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        arguments: Sequence[str] = ("-m", "messaging", "serve"),
    ) -> None:
        super().__init__(folder, port=port)
        self._environment = dict(environment or {})
        self._arguments = arguments

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [sys.executable, *self._arguments]

    def environment(self) -> Mapping[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        fixed = {"PORT": str(self.port), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return {**inherited, **fixed, **self._environment}

    def ready(self) -> bool:
        return self.status("/readyz") == 200

    def status(self, path: str) -> int | None:
        """The HTTP status of a GET, or None when there is no answer."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code
        except OSError:
            return None


def with_database(uri: str, database: str) -> str:
    """The MongoDB URI `uri` with `database` as its default database."""
    return urlsplit(uri)._replace(path=f"/{database}").geturl()
