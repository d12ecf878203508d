"""Recoveries: which clients come back to what, and keeping that in the store (docs/design.md, Coming back).

A record is written when a client connects, joins or leaves, never for a message; writes that come while one
is on its way go together in the next. What a client was told stands in its offset, which it brings itself.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from asyncio import Future
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from messaging.domain.errors import ClientError, PermissionDenied, RoomNotFound
from messaging.domain.models import Recovery
from messaging.domain.permissions import Action, permit
from messaging.gateway import offset as offsets
from messaging.gateway.comeback import Comeback, Missed
from messaging.gateway.farewell import LOST, Farewell
from messaging.gateway.metrics import Metrics
from messaging.gateway.offset import TAGS, Offset, Reached, mark_of, milliseconds
from messaging.service.changes import rev_at
from messaging.service.context import Context

if TYPE_CHECKING:
    from messaging.gateway.session import Session

LIFE = timedelta(hours=1)
"""How long after it was last written a record may be found again."""
EXTEND_SECONDS = 1_200.0
"""How often all records of this process are written again: so that a client can come back at least 40 minutes
after it was lost, however its process ended."""
MAX_JOINS = 100
"""Who joins more conversations cannot come back: all of them stand at the end of each event."""
MAX_MISSED = 5_000
"""Who missed more messages and changes begins anew."""
_TOGETHER = 500
_PID = re.compile(r"[ab][A-Za-z0-9_-]{24}\Z")

logger = logging.getLogger(__name__)


class Recoveries:
    """What the clients of this process can come back to."""

    def __init__(self, ctx: Context, metrics: Metrics) -> None:
        self._ctx = ctx
        self._metrics = metrics
        self._known: dict[str, Comeback] = {}
        """Those of connections that are here, and those that ended and are still to be forgotten."""
        self._waiting: list[tuple[Comeback, Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    # --- coming ---

    async def welcome(
        self, user_id: str, dialect: str, sid: str, *, pid: object = None, offset: object = None
    ) -> Comeback:
        """What a client that connects goes on from, if it can be had whole, or begins with.

        `pid` and `offset` are what it says of an earlier connection, unchecked. Raises Unavailable.
        """
        given = offsets.read(offset) if isinstance(offset, str) else None
        comeback = None
        if isinstance(pid, str) and _PID.match(pid):
            known = Offset(pid[0]) if offset is None else given
            comeback = await self._returning(pid, user_id, dialect, known)
            self._metrics.came_back(dialect, whole=comeback is not None)
        if comeback is None:
            tag = TAGS[1] if given is not None and given.tag == TAGS[0] else TAGS[0]
            comeback = Comeback(tag + secrets.token_urlsafe(18), sid, user_id, dialect)
            comeback.trail.reads = self._now()
            self._save(comeback)
        self._known[comeback.pid] = comeback
        return comeback

    def begun(self, comeback: Comeback, session: Session) -> None:
        """The client has a session, which ends at once if the client has been back once more meanwhile."""
        comeback.session = session
        if self._known.get(comeback.pid) is not comeback:
            session.close(LOST)

    async def _returning(self, pid: str, user_id: str, dialect: str, given: Offset | None) -> Comeback | None:
        here = self._known.get(pid)
        if here is not None:
            if here.ended or here.user_id != user_id:
                return None
            self._supersede(here)
        comeback = Comeback(pid, "", user_id, dialect)
        record = await self._ctx.store.take_recovery(
            pid, user_id=user_id, owner=comeback.owner, at=self._ctx.clock()
        )
        if record is None:
            return None
        comeback.sid, comeback.joins, comeback.stored = record.sid, dict(record.joins), True
        if given is None or record.dialect != dialect or not await self._resume(comeback, given):
            self._end(comeback)
            return None
        self._save(comeback)  # it lives on
        return comeback

    async def _resume(self, comeback: Comeback, given: Offset) -> bool:
        """Find what the client missed; False where it cannot have all of it."""
        reached = given.reached if given.tag == comeback.trail.tag else {}
        tails = await self._ctx.store.tails(comeback.joins)
        missed, told, count = [], set(), 0
        for conversation_id, after in comeback.joins.items():
            tail = tails[conversation_id]
            known = reached.get(mark_of(conversation_id))
            if known is not None:
                told.add(conversation_id)
            known = known or Reached(after, await rev_at(self._ctx, conversation_id, after))
            if known.seq > tail.last_seq or known.rev > tail.last_rev:
                return False  # of another database, or made up
            count += (tail.last_seq - known.seq) + (tail.last_rev - known.rev)
            try:
                seat = await self._ctx.seats.find(conversation_id, comeback.user_id)
                conversation = permit(Action.READ, seat.conversation, seat.role, service=False)
            except (RoomNotFound, PermissionDenied):
                return False
            missed.append(Missed(conversation, known))
        comeback.resume(tuple(missed), frozenset(told), given, self._now())
        return count <= MAX_MISSED

    def _now(self) -> int:
        return milliseconds(self._ctx.clock())

    def _supersede(self, comeback: Comeback) -> None:
        """Its client is back on another connection; what this one still has to say reaches nobody."""
        if self._known.get(comeback.pid) is comeback:
            del self._known[comeback.pid]
        if comeback.session is not None:
            comeback.session.close(LOST)

    # --- being here ---

    async def joined(self, session: Session, conversation_id: str, after: int) -> None:
        """The client is about to hear a conversation past seq `after`. Returns when that is durable."""
        comeback = session.comeback
        if comeback is None or comeback.ended or conversation_id in comeback.joins:
            return
        comeback.joins[conversation_id] = after
        if len(comeback.joins) > MAX_JOINS:
            session.trail = None
            self._end(comeback)
            return
        await self._save(comeback)

    def left(self, session: Session, conversation_id: str) -> Future[None]:
        """The client no longer hears a conversation. Done when that is durable."""
        comeback = session.comeback
        if comeback is not None and not comeback.ended and conversation_id in comeback.joins:
            del comeback.joins[conversation_id]
            return self._save(comeback)
        return _nothing_to_write()

    def released(self, comeback: Comeback, farewell: Farewell) -> None:
        """The connection has ended: its client may come back, unless one of the two said goodbye."""
        if comeback.ended:
            return
        if not farewell.comes_back:
            self._end(comeback)
        elif self._known.get(comeback.pid) is comeback:
            del self._known[comeback.pid]

    def _end(self, comeback: Comeback) -> None:
        comeback.ended = True
        self._known[comeback.pid] = comeback
        self._save(comeback)

    async def extend(self) -> None:
        """Let all records live on, and forget those that could not be forgotten yet."""
        everything = list(self._known.values())
        for start in range(0, len(everything), _TOGETHER):
            await asyncio.gather(*(self._save(each) for each in everything[start : start + _TOGETHER]))

    # --- writing ---

    async def close(self) -> None:
        """Return when all that was to be kept is written, or has failed."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    def _save(self, comeback: Comeback) -> Future[None]:
        future: Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)
        self._waiting.append((comeback, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="recoveries")
        return future

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                failure: Exception | None = None
                try:
                    await self._write_all(list(dict.fromkeys(comeback for comeback, _ in batch)))
                except Exception as error:  # noqa: BLE001  those who wait are told
                    failure = error
                for _, future in batch:
                    _settle(future, failure)
        finally:
            self._writer = None

    async def _write_all(self, comebacks: Sequence[Comeback]) -> None:
        store, expires_at = self._ctx.store, self._ctx.clock() + LIFE
        ended = [each for each in comebacks if each.ended]
        new = [each for each in comebacks if not each.ended and not each.stored]
        # What was tried before may be there already, as it was then.
        known = [each for each in comebacks if not each.ended and (each.stored or each.tried)]
        for each in new:
            each.tried = True
        if new:
            await store.add_recoveries([each.record(expires_at) for each in new])
        if known:
            await self._keep(known, [each.record(expires_at) for each in known])
        for each in new:
            each.stored = True
        if ended:
            await store.end_recoveries({each.pid: each.owner for each in ended})
            for each in ended:
                if self._known.get(each.pid) is each:
                    del self._known[each.pid]

    async def _keep(self, known: Sequence[Comeback], records: Sequence[Recovery]) -> None:
        taken = await self._ctx.store.keep_recoveries(records)
        for each in known:
            if each.pid in taken:
                self._supersede(each)


def _nothing_to_write() -> Future[None]:
    future: Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def _settle(future: Future[None], failure: Exception | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)


def _look_at(future: Future[None]) -> None:
    """Nobody has to wait for a record; what failed is tried again by `extend`."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, ClientError):
        logger.error("a record could not be kept", exc_info=error)
