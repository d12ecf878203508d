"""Group commit: sends that arrive while a write is on its way go together in the next one.

A conversation has one write under way at a time, in which all of its drafts go that wait; a few writes for
different conversations may be under way together, where the store gains by that (`Store.appends_together`)
and there is enough for them. What is less waits for the write that is under way, unless that takes long: a
write costs more than what is in it. Fifty clients that send at once share a few writes. Drafts of one
conversation are written in the order in which `append` was called.

Whoever was answered often sends again at once. So where a write of a few messages of one conversation is
done and others wait behind it, those who are being answered get a moment to be in the next write, too: else
two halves of the same clients would take turns for ever. Where nobody came, nobody is waited for any more.
And where nobody waits, the first who comes waits for as many as were answered, for some turns of the loop: a
client's frames come one after the other.

A store that takes one append at a time shares Python's lock with the loop, and gets little done while many
are told what became of theirs. So its next write begins when all have been told, with what they sent since.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from messaging.domain.errors import Unavailable
from messaging.domain.models import Appended, Draft
from messaging.service.ports import Store

MAX_BATCH = 500
"""How many messages go into one write, at the most."""
ENOUGH = 8
"""For each write that is under way, so many drafts must wait for another one to begin beside it."""
PATIENCE_SECONDS = 0.005
"""After so long nobody waits any more for a write that is under way."""
FEW = 8
"""Up to so many messages, all together, are worth a moment."""
MOMENT_SECONDS = 0.005
"""The longest moment; it is also no longer than the write took."""
BURST_SECONDS = 0.0003
"""How long the first of those who send again waits for the others, at the most."""
MAX_SKIPPED = 64
"""For how many writes nobody is waited for, at the most."""
TOLD_AT_ONCE = 8
"""How many hear in one turn of the loop what became of theirs, at the least; of many it is a quarter."""

Then = Callable[[Appended | Exception], None]
"""Hears what became of a draft."""
Batch = list[tuple[Draft, Then]]

logger = logging.getLogger(__name__)


class Committer:
    """Stores drafts in groups. A draft that was taken is written even if nobody waits for it any more.

    While the store is away nobody waits for more than one write.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._at_most = store.appends_together
        self._waiting: Batch = []
        self._busy: set[str] = set()
        """Conversations of which a write is under way, or which are given a moment."""
        self._writes: set[asyncio.Task[None]] = set()
        self._began = 0.0
        """When the last write began."""
        self._beginning: asyncio.Handle | None = None
        self._patience: asyncio.Handle | None = None
        self._moments: dict[str, _Moment] = {}
        self._skip = self._skipped = 0
        self._expected = 0
        """How many may be about to send again, after a write that nobody waited behind."""
        self._untold: deque[tuple[Draft, Then, Appended | Exception]] = deque()
        """What became of drafts, in the order in which it came about."""

    def append(self, draft: Draft, then: Then) -> None:
        """Queue a draft. `then` hears once of its durable message, or of the ClientError; never at once."""
        self._waiting.append((draft, then))
        moment = self._moments.get(draft.conversation_id)
        if moment is not None and moment.came():
            self._end_moment(draft.conversation_id, fruitful=True)
        elif self._beginning is None:
            until = time.monotonic() + BURST_SECONDS
            self._beginning = asyncio.get_running_loop().call_soon(self._begin_when_all_came, until)

    async def close(self) -> None:
        """Return when all that was queued is written, or has failed, and was told."""
        while self._waiting or self._writes or self._beginning is not None or self._untold:
            if self._writes:
                await asyncio.wait(list(self._writes))
            await asyncio.sleep(0)
        if self._patience is not None:
            self._patience.cancel()

    def _begin_when_all_came(self, until: float) -> None:
        """Begin as soon as all who are expected have come, and at `until` (time.monotonic) in any case."""
        if len(self._waiting) >= self._expected or time.monotonic() >= until:
            self._begin()
        else:
            self._beginning = asyncio.get_running_loop().call_soon(self._begin_when_all_came, until)

    def _begin(self) -> None:
        """Begin to write what may be written now."""
        self._beginning = None
        self._expected = 0
        if self._untold and self._at_most == 1:
            return  # it goes on when they are told
        while self._waiting and len(self._writes) < self._at_most and (batch := self._take()):
            if self._is_worth_waiting(batch):
                self._waiting = batch + self._waiting
                break
            self._began = asyncio.get_running_loop().time()
            self._busy.update(draft.conversation_id for draft, _ in batch)
            task = asyncio.create_task(self._write(batch), name="committer")
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def _is_worth_waiting(self, batch: Batch) -> bool:
        """Whether a write that is under way will soon be done, and this is too little for one beside it."""
        if len(batch) >= ENOUGH * len(self._writes):
            return False
        loop = asyncio.get_running_loop()
        until = self._began + PATIENCE_SECONDS
        if loop.time() >= until:
            return False
        if self._patience is None:
            self._patience = loop.call_at(until, self._lose_patience)
        return True

    def _lose_patience(self) -> None:
        self._patience = None
        if self._beginning is None:
            self._begin()

    def _take(self) -> Batch:
        batch: Batch = []
        left: Batch = []
        for waiting in self._waiting:
            free = waiting[0].conversation_id not in self._busy and len(batch) < MAX_BATCH
            (batch if free else left).append(waiting)
        self._waiting = left
        return batch

    async def _write(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            outcomes: Sequence[Appended | Exception]
            outcomes = await self._store.append([draft for draft, _ in batch])
            if len(outcomes) != len(batch):
                raise RuntimeError("the store did not say of each message what became of it")
        except Exception as error:  # noqa: BLE001  those who wait are told
            outcomes = [error] * len(batch)
        self._tell(batch, outcomes)
        if away := next((each for each in outcomes if isinstance(each, Unavailable)), None):
            self._give_up_waiting(away)
        task = asyncio.current_task()
        if task is not None:
            self._writes.discard(task)
        self._go_on(batch, min(loop.time() - began, MOMENT_SECONDS))

    def _go_on(self, batch: Batch, seconds: float) -> None:
        """A write is done: go on with what waits, at once or in a moment."""
        conversations = {draft.conversation_id for draft, _ in batch}
        if len(conversations) == 1 and self._is_worth_a_moment(batch):
            (conversation_id,) = conversations
            timer = asyncio.get_running_loop().call_later(seconds, self._end_moment, conversation_id)
            self._moments[conversation_id] = _Moment(len(batch), timer)
        else:
            self._busy -= conversations
        self._begin()
        if not self._waiting and not self._writes and len(batch) <= FEW:
            self._expected = len(batch)

    def _is_worth_a_moment(self, batch: Batch) -> bool:
        """Whether it may pay to wait for those who are being answered now."""
        if not 0 < len(self._waiting) <= FEW - len(batch):
            return False
        if any(draft.conversation_id != batch[0][0].conversation_id for draft, _ in self._waiting):
            return False
        self._skipped += 1
        return self._skipped > self._skip

    def _end_moment(self, conversation_id: str, *, fruitful: bool = False) -> None:
        self._moments.pop(conversation_id).timer.cancel()
        self._skip = 0 if fruitful else min(2 * self._skip + 1, MAX_SKIPPED)
        self._skipped = 0
        self._busy.discard(conversation_id)
        if self._beginning is None:
            self._begin()

    def _give_up_waiting(self, error: Unavailable) -> None:
        """Who came while a write failed has waited as long as one may take: they hear it now, not after a
        second one has failed."""
        late, self._waiting = self._waiting, []
        self._tell(late, [error] * len(late))

    def _tell(self, batch: Batch, outcomes: Sequence[Appended | Exception]) -> None:
        """Tell what became of a batch, from the next turn on. By then the store has its next write, if it
        takes several together."""
        if batch and not self._untold:
            asyncio.get_running_loop().call_soon(self._tell_some)
        self._untold.extend((*waiting, outcome) for waiting, outcome in zip(batch, outcomes, strict=True))

    def _tell_some(self) -> None:
        """Tell some of it, and what follows in the same conversation: that is one write to each client."""
        untold = self._untold
        left = len(untold) - max(TOLD_AT_ONCE, len(untold) // 4)
        conversation_id = None
        try:
            while untold and (len(untold) > left or untold[0][0].conversation_id == conversation_id):
                draft, then, outcome = untold.popleft()
                conversation_id = draft.conversation_id
                try:
                    then(outcome)
                except Exception:  # the others must hear of theirs all the same
                    logger.exception("what became of a message could not be told")
        finally:
            if untold:
                asyncio.get_running_loop().call_soon(self._tell_some)
            elif self._waiting and self._at_most == 1 and self._beginning is None:
                self._beginning = asyncio.get_running_loop().call_soon(self._begin)


class _Moment:
    """A conversation's next write waits for so many more drafts, or for a timer."""

    __slots__ = ("_missing", "timer")

    def __init__(self, missing: int, timer: asyncio.TimerHandle) -> None:
        self._missing = missing
        self.timer = timer

    def came(self) -> bool:
        """One more came; whether all have."""
        self._missing -= 1
        return self._missing <= 0
