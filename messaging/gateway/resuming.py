"""Resuming: a client that is back hears what it had joined, without a gap or a double.

Like joining (`joining.py`): watch first, read second. But what is read is told as the events that it would
have been, and the client gets no answer, for it did not ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from messaging.domain.errors import Unavailable
from messaging.domain.events import MessageSent, MessagesRead
from messaging.domain.models import Message, Position
from messaging.gateway.comeback import Missed
from messaging.gateway.farewell import FAULT, UNAVAILABLE
from messaging.gateway.offset import mark_of, point, reader_mark_of
from messaging.service.changes import change_events
from messaging.service.missed_reads import reads_since
from messaging.service.policy import MISSED_PAGE

if TYPE_CHECKING:
    from messaging.gateway.channel import Joining
    from messaging.gateway.gateway import Gateway
    from messaging.gateway.session import Session


class Resuming:
    """One session's way back into all that it had joined."""

    def __init__(
        self, gateway: Gateway, session: Session, missed: tuple[Missed, ...], readers: Mapping[str, int]
    ) -> None:
        self._gateway = gateway
        self._session = session
        self._missed = missed
        self._readers = readers
        """Up to where the client was told that others read, by their marks, past the time in its trail."""
        self._told: dict[int, int] = {}
        """The messages that were told as they were then, and the rev of the last change in that."""

    async def run(self) -> None:
        """Tell what was missed and let the session hear the rest. What cannot be told now ends the
        connection: the client comes back, and goes on where this stopped."""
        try:
            joinings = await asyncio.gather(*(self._begin(missed) for missed in self._missed))
            positions = [await self._catch_up(*each) for each in zip(self._missed, joinings, strict=True)]
            await self._tell_reads(joinings, positions)
            for missed, joining, position in zip(self._missed, joinings, positions, strict=True):
                await self._finish(missed, joining, position)
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            away = isinstance(self._gateway.refusal_of(error), Unavailable)
            self._session.close(UNAVAILABLE if away else FAULT)
        if self._session.trail is not None:
            self._session.trail.whole = True
        if self._session.farewell is not None:
            for missed in self._missed:
                self._gateway.hub.leave(self._session, missed.conversation.id)

    async def _begin(self, missed: Missed) -> Joining:
        hub, conversation_id = self._gateway.hub, missed.conversation.id
        if self._session.farewell is None:
            self._session.watch(missed.conversation)
        joining = await hub.begin_join(self._session, conversation_id)
        await hub.find_rev(joining, conversation_id)
        return joining

    def _may_hear(self, missed: Missed, joining: Joining) -> bool:
        """Whether the client is still there, and still in this conversation."""
        here = self._session.farewell is None
        return here and self._gateway.hub.is_joining(joining, missed.conversation.id)

    async def _catch_up(self, missed: Missed, joining: Joining) -> Position:
        """Tell messages and their changes up to now; how far that went."""
        position, more = Position(*missed.known), True
        while more and self._may_hear(missed, joining):
            position, more = await self._tell_page(missed, joining, position)
            if more:
                await self._session.drained()
        return position

    async def _finish(self, missed: Missed, joining: Joining, position: Position) -> None:
        """Let the client hear what has been held; or read on, where that was too much."""
        while self._may_hear(missed, joining):
            if self._gateway.hub.finish_join(joining, missed.conversation.id, position):
                return
            position, _ = await self._tell_page(missed, joining, position)
            await self._session.drained()

    async def _tell_page(self, missed: Missed, joining: Joining, position: Position) -> tuple[Position, bool]:
        """Tell what comes next; how far that went, and whether there may be more."""
        store, conversation_id = self._gateway.ctx.store, missed.conversation.id
        page = await store.history(conversation_id, after=position.seq, limit=MISSED_PAGE)
        await self._tell(missed, page, position.rev)
        joining.saw(page)
        seq = page[-1].seq if page else position.seq
        rev = await self._tell_changes(missed, joining, position.rev, seq)
        return Position(seq, rev), len(page) == MISSED_PAGE or rev < joining.since_rev

    async def _tell_reads(self, joinings: Sequence[Joining], positions: Sequence[Position]) -> None:
        """Tell what others read, over all conversations in its order. Reads of messages that are still to
        come, come with them."""
        trail = self._session.trail
        if trail is None:
            return
        since = datetime.fromtimestamp(trail.reads / 1000, UTC)
        found = await asyncio.gather(*(self._reads(missed, since) for missed in self._missed))
        told = [
            (event, joining)
            for events, joining, position in zip(found, joinings, positions, strict=True)
            for event in events
            if event.cursor <= position.seq
        ]
        for event, joining in sorted(told, key=lambda each: each[0].at):
            joining.reads[event.reader.id] = max(event.cursor, joining.reads.get(event.reader.id, 0))
            if event.cursor > self._readers.get(reader_mark_of(event.conversation.id, event.reader.id), 0):
                self._session.write_missed(event, trail.point(event.conversation.id))

    async def _reads(self, missed: Missed, since: datetime) -> Sequence[MessagesRead]:
        return await reads_since(self._gateway.ctx, missed.conversation, since, limit=MISSED_PAGE)

    async def _tell(self, missed: Missed, messages: Sequence[Message], rev: int) -> None:
        conversation, mark = missed.conversation, mark_of(missed.conversation.id)
        people = await self._gateway.ctx.people.find({message.sender_id for message in messages})
        for message in messages:
            event = MessageSent(conversation=conversation, message=message, sender=people[message.sender_id])
            self._session.write_missed(event, point(conversation.id, mark, message.seq, rev))
            self._told[message.id] = message.rev

    async def _tell_changes(self, missed: Missed, joining: Joining, after: int, seq: int) -> int:
        """Tell a page of changes, up to the first of a message past `seq`; how far it went. What the client
        was told as it is now does not change once more."""
        ctx, conversation, mark = self._gateway.ctx, missed.conversation, mark_of(missed.conversation.id)
        changes = await ctx.store.changes(conversation.id, after=after, limit=MISSED_PAGE)
        for event in await change_events(ctx, conversation, changes):
            if event.message.seq > seq:
                return event.rev - 1
            if event.rev > self._told.get(event.message.id, 0):
                self._session.write_missed(event, point(conversation.id, mark, seq, event.rev))
        return changes[-1].rev if changes else max(after, joining.since_rev)
