"""Files in a folder, beside a SQLite database.

A file is written under another name, and appears under its own when all of it is on disk: what a crash leaves
half done is never taken for a file, and is removed at the next start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from messaging.domain.errors import Unavailable
from messaging.service.ports_uploads import FileGone

_CHUNK_BYTES = 128 * 1024
_DRAFT = ".draft-"

P = ParamSpec("P")
T = TypeVar("T")


class FolderFiles:
    """`Files` in a folder that nobody else may read."""

    kind = "a folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self) -> None:
        """See `Files.open`. Removes what was left half written."""
        await _in_thread(self._prepare)

    async def close(self) -> None:
        """See `Files.close`."""

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Files.write`."""
        draft = self._folder / f"{_DRAFT}{secrets.token_hex(8)}"
        try:
            file = await _in_thread(_create, draft)
            try:
                async for chunk in chunks:
                    await _in_thread(file.write, chunk)
                await _in_thread(_sync, file)
            finally:
                file.close()
            await _in_thread(self._publish, draft, name)
        finally:
            draft.unlink(missing_ok=True)

    async def read(self, name: str, *, start: int = 0, length: int) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        file = await _in_thread(self._open_at, name, start)
        with file:
            while length > 0 and (chunk := await _in_thread(file.read, min(_CHUNK_BYTES, length))):
                length -= len(chunk)
                yield chunk

    async def delete(self, name: str) -> None:
        """See `Files.delete`."""
        await _in_thread((self._folder / name).unlink, missing_ok=True)

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in self._folder.glob(f"{_DRAFT}*"):
            draft.unlink(missing_ok=True)

    def _publish(self, draft: Path, name: str) -> None:
        draft.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # else the name may be lost with the power
        finally:
            os.close(folder)

    def _open_at(self, name: str, start: int) -> BinaryIO:
        try:
            file = (self._folder / name).open("rb")
        except FileNotFoundError:
            raise FileGone from None
        file.seek(start)
        return file


def _create(draft: Path) -> BinaryIO:
    return os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _in_thread(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` gives; Unavailable where the disk refuses. Not broken off: a write in a thread goes on, so
    whoever is cancelled waits until it is done, and can then clean up."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
    except OSError as error:
        raise Unavailable from error
