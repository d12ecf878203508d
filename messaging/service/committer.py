"""Group commit: sends that arrive while a write is on its way go together in the next one.

One write is in flight at a time, so a single client waits for one write only, and fifty that send at once
share one. Drafts are written in the order in which `append` was called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from messaging.domain.errors import Unavailable
from messaging.domain.models import Appended, Draft
from messaging.service.ports import Store

MAX_BATCH = 500
"""How many messages go into one write, at the most."""

Then = Callable[[Appended | Exception], None]
"""Hears what became of a draft."""

logger = logging.getLogger(__name__)


class Committer:
    """Stores drafts in groups. A draft that was taken is written even if nobody waits for it any more.

    While the store is away nobody waits for more than one write.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Draft, Then]] = []
        self._writer: asyncio.Task[None] | None = None

    def append(self, draft: Draft, then: Then) -> None:
        """Queue a draft. `then` hears once of its durable message, or of the ClientError; never at once."""
        self._waiting.append((draft, then))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="committer")

    async def close(self) -> None:
        """Return when all that was queued is written, or has failed, and was told."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        try:
            while self._waiting:
                while self._waiting:
                    await self._write_one_batch()
                await asyncio.sleep(0)  # all are told before this ends
        finally:
            self._writer = None

    async def _write_one_batch(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        outcomes = await self._store_all(batch)
        # Told in the next turn, so that the store is given the next write before.
        asyncio.get_running_loop().call_soon(_tell, batch, outcomes)
        if away := next((each for each in outcomes if isinstance(each, Unavailable)), None):
            self._give_up_waiting(away)

    async def _store_all(self, batch: list[tuple[Draft, Then]]) -> Sequence[Appended | Exception]:
        try:
            return await self._store.append([draft for draft, _ in batch])
        except Exception as error:  # noqa: BLE001  those who wait are told
            return [error] * len(batch)

    def _give_up_waiting(self, error: Unavailable) -> None:
        """Who came while a write failed has waited as long as one may take: they hear it now, not after a
        second one has failed."""
        late, self._waiting = self._waiting, []
        asyncio.get_running_loop().call_soon(_tell, late, [error] * len(late))


def _tell(batch: list[tuple[Draft, Then]], outcomes: Sequence[Appended | Exception]) -> None:
    for (_, then), outcome in zip(batch, outcomes, strict=True):
        try:
            then(outcome)
        except Exception:  # the others must hear of theirs all the same
            logger.exception("what became of a message could not be told")
