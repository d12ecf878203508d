"""Neighbours: the worker processes of one service on this machine, each with a Unix socket in one folder.

A request that came to the wrong worker is handed over with its TCP connection (SCM_RIGHTS): the right one
answers its client directly, as if it had come there. And each shows its figures to whoever is asked for all.

On such a socket a caller says FIGURES and is sent text until the end; or HAND_OVER, with the connection and
the length of what was read from it, then that; or ALIVE. These two are answered with TAKEN.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from messaging.gateway.tasks import Tasks

ANSWER_SECONDS = 2.0
"""The longest that a neighbour may take; one that takes longer is as good as dead."""
HAND_OVER_SECONDS = 10.0
"""The same for a connection; its client waits, and has lost it afterwards."""
RETRY_SECONDS = 0.1
BACKLOG = 128
ALIVE, FIGURES, HAND_OVER, TAKEN = b"A", b"F", b"H", b"T"
_HEAD = struct.Struct("!cI")
_PIECE_BYTES = 64 * 1024

ARE_YOU_ALIVE = _HEAD.pack(ALIVE, 0)
"""What is said to somebody who is only to answer."""

Adopt = Callable[[socket.socket, bytes], Awaitable[None]]
"""Serve this connection, from which so much has been read already; it is the callee's from then on."""


log = logging.getLogger(__name__)


class Neighbours:
    """This worker, called `name`, and those beside it in `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._tasks = Tasks()
        self._listening: socket.socket | None = None
        self._figures: Callable[[], str] = str
        self._adopt: Adopt | None = None

    # Being a neighbour

    async def start(self, figures: Callable[[], str], adopt: Adopt) -> None:
        """Begin to answer. OSError when the folder cannot be used."""
        self._figures, self._adopt = figures, adopt
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        listening.bind(str(self._folder / self._name))
        listening.listen(BACKLOG)
        self._listening = listening
        self._tasks.start(self._accept(listening))

    async def close(self) -> None:
        """Answer nothing more. Idempotent."""
        await self._tasks.close(0)
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            _remove(self._folder / self._name)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, _ = await loop.sock_accept(listening)
            except OSError as error:  # too many open files; others may close some
                log.warning("a neighbour was not heard: %s", error.strerror)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._tasks.start(self._answer(caller))

    async def _answer(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError, TimeoutError, struct.error):
            caller.setblocking(False)
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await _readable(caller)
                head, given, _, _ = socket.recv_fds(caller, _HEAD.size, 1)
                await self._serve(caller, head, [socket.socket(fileno=number) for number in given])

    async def _serve(self, caller: socket.socket, head: bytes, given: Sequence[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as unused:
            for connection in given:
                unused.enter_context(connection)
            kind, size = _HEAD.unpack(head)
            if kind == FIGURES:
                await loop.sock_sendall(caller, self._figures().encode())
                return
            if kind == ALIVE:
                await loop.sock_sendall(caller, TAKEN)
                return
            read = await _read(caller, size)
            if given and len(read) == size and self._adopt is not None:
                unused.pop_all()
                given[0].setblocking(False)
                await self._adopt(given[0], read)
                await loop.sock_sendall(caller, TAKEN)

    # Asking the others

    def has(self, name: str) -> bool:
        """Whether a worker of that name is, or was, beside this one."""
        return name != self._name and (self._folder / name).exists()

    async def hand_over(self, name: str, connection: int, read: bytes) -> bool:
        """Whether that worker now serves the connection of this descriptor; the caller closes its own.

        Raises ConnectionError when it may do so: then nobody else should.
        """
        caller = await self._call(name)
        if caller is None:
            return False
        loop = asyncio.get_running_loop()
        with caller:
            try:
                async with asyncio.timeout(HAND_OVER_SECONDS):
                    socket.send_fds(caller, [_HEAD.pack(HAND_OVER, len(read))], [connection])
                    await loop.sock_sendall(caller, read)
                    return await loop.sock_recv(caller, 1) == TAKEN
            except TimeoutError:
                raise ConnectionError from None
            except OSError:  # it went away, and what it had taken with it
                return False

    async def figures(self) -> Sequence[str]:
        """What all workers show, this one included; the dead are left out."""
        others = sorted(path.name for path in self._folder.iterdir() if path.name != self._name)
        told = await asyncio.gather(*(self._ask(name) for name in others))
        return [self._figures(), *filter(None, told)]

    async def _ask(self, name: str) -> str:
        caller = await self._call(name)
        if caller is None:
            return ""
        with caller, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(caller, _HEAD.pack(FIGURES, 0))
                return (await _read(caller)).decode()
        return ""

    async def _call(self, name: str) -> socket.socket | None:
        """A connection to that worker; None, and nothing is left of it, when it is dead."""
        path = self._folder / name
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        caller.setblocking(False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_connect(caller, str(path))
        except (OSError, TimeoutError) as error:
            caller.close()
            if isinstance(error, ConnectionRefusedError):
                _remove(path)
            return None
        return caller


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


async def _readable(sock: socket.socket) -> None:
    """Return when there is something to read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _read(sock: socket.socket, size: int | None = None) -> bytes:
    """So many bytes, or all until the end; fewer when the other side goes."""
    pieces: list[bytes] = []
    left = size
    while left is None or left > 0:
        piece = await asyncio.get_running_loop().sock_recv(sock, min(left or _PIECE_BYTES, _PIECE_BYTES))
        if not piece:
            break
        pieces.append(piece)
        left = None if left is None else left - len(piece)
    return b"".join(pieces)
