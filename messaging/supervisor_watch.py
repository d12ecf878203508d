"""Watches for workers that live and do nothing: one whose loop hangs still gets its share of the connections.

Each worker answers on its Unix socket in one turn of its loop. Whoever does not for a while is killed, and
another one is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
from collections.abc import Collection
from pathlib import Path

from messaging.transports.neighbours import ARE_YOU_ALIVE

LOOK_SECONDS = 2.0
DEAF_SECONDS = 20.0
_CREDENTIALS = struct.Struct("iII")  # struct ucred: process, user, group

logger = logging.getLogger("messaging.supervisor")


async def watch(folder: Path, workers: Collection[int], seconds: float = DEAF_SECONDS) -> None:
    """Kill those of the processes `workers` that answer nothing for so long. Until cancelled."""
    if not hasattr(socket, "SO_PEERCRED"):
        return  # whose socket it is cannot be told on this system
    loop = asyncio.get_running_loop()
    heard: dict[int, float] = {}
    while True:
        await asyncio.sleep(min(LOOK_SECONDS, seconds / 2))
        deaf = await asyncio.gather(*(_deaf(path, seconds / 2) for path in _sockets(folder)))
        now = loop.time()
        heard = {pid: heard.get(pid, now) for pid in deaf if pid is not None and pid in workers}
        for pid, since in heard.items():
            if now - since >= seconds / 2:
                logger.error("a worker (process %d) answers nothing, and is killed", pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _sockets(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _deaf(path: Path, seconds: float) -> int | None:
    """The process whose socket this is, if it does not answer; None if it does, or is gone."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
    except (OSError, TimeoutError):
        return None
    try:
        sock = writer.get_extra_info("socket")
        pid: int = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )[0]
        writer.write(ARE_YOU_ALIVE)
        async with asyncio.timeout(seconds):
            return None if await reader.read(1) else pid
    except (OSError, TimeoutError):
        return pid
    finally:
        writer.close()
