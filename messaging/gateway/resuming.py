"""Resuming: a client that is back hears what it had joined, without a gap or a double.

Like joining (`joining.py`): watch first, read second. But what is read is told as the events that it would
have been, and the client gets no answer, for it did not ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from messaging.domain.errors import Unavailable
from messaging.domain.events import MessageSent
from messaging.domain.models import Message, Position
from messaging.gateway.comeback import Missed
from messaging.gateway.farewell import FAULT, UNAVAILABLE
from messaging.gateway.offset import mark_of, point
from messaging.service.changes import change_events
from messaging.service.policy import MISSED_PAGE

if TYPE_CHECKING:
    from messaging.gateway.channel import Joining
    from messaging.gateway.gateway import Gateway
    from messaging.gateway.session import Session


class Resuming:
    """One session's way back into all that it had joined."""

    def __init__(self, gateway: Gateway, session: Session, missed: tuple[Missed, ...]) -> None:
        self._gateway = gateway
        self._session = session
        self._missed = missed

    async def run(self) -> None:
        """Tell what was missed and let the session hear the rest. What cannot be told now ends the
        connection: the client comes back, and goes on where this stopped."""
        try:
            joinings = await asyncio.gather(*(self._begin(missed) for missed in self._missed))
            for missed, joining in zip(self._missed, joinings, strict=True):
                await self._resume(missed, joining)
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            away = isinstance(self._gateway.refusal_of(error), Unavailable)
            self._session.close(UNAVAILABLE if away else FAULT)
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

    async def _resume(self, missed: Missed, joining: Joining) -> None:
        hub, conversation_id = self._gateway.hub, missed.conversation.id
        position = Position(*missed.known)
        while self._session.farewell is None and hub.is_joining(joining, conversation_id):
            page = await self._gateway.ctx.store.history(
                conversation_id, after=position.seq, limit=MISSED_PAGE
            )
            await self._tell(missed, page, position.rev)
            joining.saw(page)
            seq = page[-1].seq if page else position.seq
            position = Position(seq, await self._tell_changes(missed, joining, position.rev, seq))
            if len(page) < MISSED_PAGE and hub.finish_join(joining, conversation_id, position):
                return
            await self._session.drained()

    async def _tell(self, missed: Missed, messages: Sequence[Message], rev: int) -> None:
        conversation, mark = missed.conversation, mark_of(missed.conversation.id)
        people = await self._gateway.ctx.people.find({message.sender_id for message in messages})
        for message in messages:
            event = MessageSent(conversation=conversation, message=message, sender=people[message.sender_id])
            self._session.write_missed(event, point(conversation.id, mark, message.seq, rev))

    async def _tell_changes(self, missed: Missed, joining: Joining, after: int, seq: int) -> int:
        """Tell a page of changes, up to the first of a message past `seq`; how far it went. What the client
        was told as it is now does not change once more."""
        ctx, conversation, mark = self._gateway.ctx, missed.conversation, mark_of(missed.conversation.id)
        changes = await ctx.store.changes(conversation.id, after=after, limit=MISSED_PAGE)
        for event in await change_events(ctx, conversation, changes):
            if event.message.seq > seq:
                return event.rev - 1
            if event.message.seq <= missed.known.seq or event.rev > joining.seen.get(event.message.id, 0):
                self._session.write_missed(event, point(conversation.id, mark, seq, event.rev))
        return changes[-1].rev if changes else max(after, joining.since_rev)
