"""Merging: what comes for a key while a write for it is under way goes together in the next write."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

Write = Callable[[Sequence[T]], Awaitable[Sequence[R]]]
"""Writes several wishes at once and gives one result for each, in their order."""


class Merging(Generic[K, T, R]):
    """Carries wishes out, one write at a time for each key. A wish that was taken is carried out even if
    nobody waits for it any more."""

    def __init__(self) -> None:
        self._waiting: dict[K, list[tuple[T, Future[R]]]] = {}
        self._writers: dict[K, asyncio.Task[None]] = {}

    def submit(self, key: K, wish: T, write: Write[T, R]) -> Future[R]:
        """Write this wish, alone or together with others. The future holds its result, or the error."""
        future: Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((wish, future))
        if key not in self._writers:
            self._writers[key] = asyncio.create_task(self._write(key, write), name="merged write")
        return future

    async def close(self) -> None:
        """Return when all that was submitted is written, or has failed."""
        while self._writers:
            await asyncio.wait(list(self._writers.values()))

    async def _write(self, key: K, write: Write[T, R]) -> None:
        try:
            while batch := self._waiting.pop(key, []):
                await _write_batch(batch, write)
        finally:
            del self._writers[key]


async def _write_batch(batch: list[tuple[T, Future[R]]], write: Write[T, R]) -> None:
    waiting = [future for _, future in batch]
    try:
        results = await write([wish for wish, _ in batch])
    except Exception as error:  # noqa: BLE001  those who wait are told
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        return
    for future, result in zip(waiting, results, strict=True):
        if not future.done():
            future.set_result(result)
