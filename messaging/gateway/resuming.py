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
from messaging.domain.models import Message
from messaging.gateway.comeback import Missed
from messaging.gateway.farewell import FAULT, UNAVAILABLE
from messaging.gateway.offset import mark_of, point
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
        if self._session.farewell is None:
            self._session.watch(missed.conversation)
        return await self._gateway.hub.begin_join(self._session, missed.conversation.id)

    async def _resume(self, missed: Missed, joining: Joining) -> None:
        hub, conversation_id = self._gateway.hub, missed.conversation.id
        seq = missed.known.seq
        while self._session.farewell is None and hub.is_joining(joining, conversation_id):
            page = await self._gateway.ctx.store.history(conversation_id, after=seq, limit=MISSED_PAGE)
            await self._tell(missed, page)
            seq = page[-1].seq if page else seq
            if len(page) < MISSED_PAGE and hub.finish_join(joining, conversation_id, seq):
                return
            await self._session.drained()

    async def _tell(self, missed: Missed, messages: Sequence[Message]) -> None:
        conversation, mark = missed.conversation, mark_of(missed.conversation.id)
        people = await self._gateway.ctx.people.find({message.sender_id for message in messages})
        for message in messages:
            event = MessageSent(conversation=conversation, message=message, sender=people[message.sender_id])
            here = point(conversation.id, mark, message.seq, missed.known.rev)
            self._session.write_missed(event, here)
