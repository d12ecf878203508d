"""The parent of several workers, by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging import supervisor
from messaging.supervisor import await_port, meeting_place
from messaging.supervisor_watch import watch
from messaging.transports.neighbours import Neighbours

LISTENS = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def deaf(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a socket and answers nothing."""
    process = subprocess.Popen([sys.executable, "-c", LISTENS, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == b"listening\n"
        yield process
        process.kill()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell whose socket it is")
async def test_a_worker_that_answers_nothing_is_killed_and_a_stranger_is_not() -> None:
    with meeting_place() as folder, deaf(folder / "worker") as worker, deaf(folder / "stranger") as stranger:
        neighbours = Neighbours(folder, "well")
        await neighbours.start(str, adopt=ignore)
        watching = asyncio.create_task(watch(folder, {worker.pid}, 0.5))
        async with asyncio.timeout(20):
            await asyncio.to_thread(worker.wait)
        watching.cancel()
        assert stranger.poll() is None
        await neighbours.close()


async def ignore(connection: socket.socket, read: bytes) -> None:
    del read
    connection.close()


def test_a_port_on_which_somebody_listens_is_not_shared_and_one_that_is_left_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.MonkeyPatch.context() as sooner:
            sooner.setattr(supervisor, "PORT_SECONDS", 0.3)
            with pytest.raises(OSError, match="HOST, PORT: cannot listen on"):
                await_port("127.0.0.1", port)
        leaves = threading.Timer(0.3, taken.close)
        leaves.start()
        await_port("127.0.0.1", port)
        leaves.join()


def test_what_a_killed_supervisor_left_is_cleared_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young, foreign = (
        tmp_path / f"messaging-{name}" for name in ("workers-a", "workers-b", "uploads-1")
    )
    for folder in (left, young, foreign):
        folder.mkdir()
        (folder / "0").touch()
    for folder in (left, foreign):
        os.utime(folder, (0, 0))
    with meeting_place() as used:
        os.utime(used, (0, 0))
        with meeting_place() as other:
            assert sorted(tmp_path.iterdir()) == sorted([foreign, young, used, other])
    assert sorted(tmp_path.iterdir()) == sorted([foreign, young])


def test_nobody_else_looks_into_the_meeting_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/tmp/{'long' * 30}")
    with meeting_place() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(str(folder / ("x" * 12))) < 100
        (folder / "left").touch()
    assert not folder.exists()
