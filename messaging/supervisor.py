"""Supervisor: the small parent of several worker processes, which share one port (SO_REUSEPORT).

It starts them, starts again whichever ends, forwards the signal to stop, and waits until all have drained. A
worker knows by its standard input, which only the supervisor holds, that the supervisor is gone. It must
not serve anything itself: what serves can fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from messaging.settings import Settings
from messaging.supervisor_watch import watch

RESTART_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""How long a worker that ended is left alone, the longer the more often."""
STEADY_SECONDS = 30.0
"""A worker that lived so long begins again at the shortest time."""
STOP_SECONDS = 19.0
"""After so long a worker that was told to stop is killed."""
PORT_SECONDS = 5.0
"""How long the workers of a supervisor that was killed may hold the port."""
CANNOT_START = 2
"""The exit code of a process whose settings, port or storage cannot be used."""
_FOLDERS = "messaging-workers-"
_LEFT_SECONDS = 60.0
"""A folder is not cleared so soon after it was touched: its supervisor may be about to lock it, or the
workers of one that was killed to end."""
_MAX_PATH_BYTES = 80
"""Unix sockets have short names; the worker's own comes behind the folder's."""

logger = logging.getLogger("messaging.supervisor")


def several_mistakes(settings: Settings) -> Iterator[str]:
    """Why these settings do not allow several workers."""
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(socket, "send_fds"):
        yield "--workers: this system cannot share a port between processes; leave it out."
    if settings.mongodb_uri is None:
        yield "MONGODB_URI: must be set to serve with several workers; SQLite serves one process."
    if settings.redis_url is None:
        yield "REDIS_URL: must be set to serve with several workers; it is how they hear of each other."


def supervise(settings: Settings, workers: int) -> int:
    """Serve with so many workers until SIGTERM or SIGINT; the exit code. OSError when the port is taken."""
    await_port(settings.host, settings.port)
    with meeting_place() as folder:
        sys.stdout.write(f"Messaging serves http://{settings.host}:{settings.port} with {workers} workers\n")
        sys.stdout.flush()
        return asyncio.run(Supervisor(workers, folder).run())


@contextmanager
def meeting_place() -> Iterator[Path]:
    """A folder for the workers' sockets that nobody else can look into, locked as long as it is in use."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _MAX_PATH_BYTES:
        parent = "/tmp"  # noqa: S108 - mkdtemp makes it safe
    for left in Path(parent).glob(f"{_FOLDERS}*"):
        _clear(left)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=parent))
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(opened)


def _clear(folder: Path) -> None:
    """Remove what a supervisor that was killed has left; not what is in use, another user's, or new."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            known = os.fstat(opened)
            if known.st_uid == os.getuid() and time.time() - known.st_mtime > _LEFT_SECONDS:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(opened)


def await_port(host: str, port: int) -> None:
    """Return when nobody listens on the port. Raises OSError when somebody goes on to.

    Our workers share it with whoever lets them; sharing with another service would split its clients and
    ours at random.
    """
    end = time.monotonic() + PORT_SECONDS
    while True:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in found:
                _try(family, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                where = f"HOST, PORT: cannot listen on {host} port {port}"
                raise OSError(f"{where}: {error.strerror or 'unknown'}.") from error
            time.sleep(0.1)
        else:
            return


def _try(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


class Supervisor:
    """Keeps `workers` processes running, which meet in `folder`."""

    def __init__(self, workers: int, folder: Path) -> None:
        self._workers = workers
        self._folder = folder
        self._running: set[int] = set()
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Until a signal says to stop, or until the workers turn out not to be able to start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        watching = asyncio.create_task(watch(self._folder, self._running))
        await asyncio.gather(*(self._keep(slot) for slot in range(self._workers)))
        watching.cancel()
        return self._exit_code

    async def _keep(self, slot: int) -> None:
        """Run one worker, again and again."""
        starts, failures = 0, 0
        while not self._stopping.is_set():
            starts += 1
            since = time.monotonic()
            code = await self._run_once(slot, starts)
            if self._stopping.is_set():
                untimely = code == -signal.SIGTERM  # it had not begun to listen to signals yet
                self._exit_code = self._exit_code or (0 if untimely else code)
            elif code == CANNOT_START and starts == 1:
                self._exit_code = CANNOT_START
                self._stopping.set()
            else:
                failures = 0 if time.monotonic() - since > STEADY_SECONDS else failures + 1
                await self._rest(slot, code, failures)

    async def _rest(self, slot: int, code: int, failures: int) -> None:
        pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1] if failures else 0.0
        logger.error("worker %d ended with %d; it is started again in %.1f s", slot, code, pause)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()

    async def _run_once(self, slot: int, starts: int) -> int:
        """Start a worker and wait for its end; once this is to stop, it has so long. Its exit code."""
        arguments = ("-m", "messaging", "worker", str(self._folder), str(slot), str(starts))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=asyncio.subprocess.PIPE
        )
        self._running.add(worker.pid)
        ended = asyncio.create_task(worker.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            worker.terminate()
            await asyncio.wait([ended], timeout=STOP_SECONDS)
        if not ended.done():
            logger.error("worker %d did not stop in time, and is killed", slot)
            worker.kill()
        code = await ended
        self._running.discard(worker.pid)
        return code
