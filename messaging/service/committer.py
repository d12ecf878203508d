"""Group commit: sends that arrive while a write is on its way go together in the next one.

One write is in flight at a time, so a single client waits for one write only, and fifty that send at once
share one. Drafts are written in the order in which `append` was called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from messaging.domain.errors import Unavailable
from messaging.domain.models import Appended, Draft
from messaging.service.ports import Store

T = TypeVar("T")

MAX_BATCH = 500
"""How many messages go into one write, at the most."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    draft: Draft
    resolve: Callable[[Appended], None]
    future: asyncio.Future[object]


class Committer:
    """Stores drafts in groups. A draft that was taken is written even if nobody waits for it any more.

    While the store is away nobody waits for more than one write.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    def append(self, draft: Draft, then: Callable[[Appended], T]) -> asyncio.Future[T]:
        """Queue a draft. The future holds `then(appended)` once it is durable, or the ClientError.

        `then` runs as soon as the write is done, also when the future was cancelled meanwhile.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def resolve(appended: Appended) -> None:
            result = then(appended)
            if not future.done():
                future.set_result(result)

        self._waiting.append(_Waiting(draft, resolve, future))  # type: ignore[arg-type]  # T is an object
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="committer")
        return future

    async def close(self) -> None:
        """Return when all that was queued is written, or has failed."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._write_batch(batch)
        finally:
            self._writer = None

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        outcomes: Sequence[Appended | Exception]
        try:
            outcomes = await self._store.append([waiting.draft for waiting in batch])
        except Exception as error:  # noqa: BLE001  those who wait are told
            outcomes = [error] * len(batch)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            _settle(waiting, outcome)
        if away := next((each for each in outcomes if isinstance(each, Unavailable)), None):
            self._give_up_waiting(away)

    def _give_up_waiting(self, error: Unavailable) -> None:
        """Who came while a write failed has waited as long as one may take: they hear it now, not after a
        second one has failed."""
        late, self._waiting = self._waiting, []
        for waiting in late:
            _fail(waiting.future, error)


def _settle(waiting: _Waiting, outcome: Appended | Exception) -> None:
    if isinstance(outcome, Exception):
        _fail(waiting.future, outcome)
        return
    try:
        waiting.resolve(outcome)
    except Exception as error:  # noqa: BLE001  the one who waits is told
        _fail(waiting.future, error)


def _fail(future: asyncio.Future[object], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
