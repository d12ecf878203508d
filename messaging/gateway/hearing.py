"""Hearing: sessions whose dialect hears conversations without joining them.

Such a session is let into a channel like one that joins: held until it is known up to where it has
everything, read on from the store where more is missing than is held, then live. Where it hears is remembered
here, so that it can be let out of every channel whatever else goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from messaging.dialects.base import Hears
from messaging.domain.errors import ClientError
from messaging.domain.events import Event, MessageSent
from messaging.domain.models import Conversation, Kind, Position
from messaging.gateway.channel import Channel, Joining, Tell
from messaging.gateway.farewell import UNAVAILABLE
from messaging.gateway.tasks import Tasks
from messaging.service.changes import change_events
from messaging.service.context import Context

if TYPE_CHECKING:
    from messaging.gateway.follower import Follower
    from messaging.gateway.session import Session

_READ_AT_ONCE = 200


class Hearing:
    """Who hears what unasked, and how they are let in."""

    def __init__(self, ctx: Context, tell: Tell, leave: Callable[[Session, str], None], tasks: Tasks) -> None:
        self._ctx = ctx
        self._tell = tell
        self._leave = leave
        self._tasks = tasks
        self._heard: dict[Session, set[str]] = {}

    def begin(self, session: Session, follower: Follower) -> None:
        """Let the session hear, from now on, what its dialect hears of the user's conversations. One that
        catches up is held until it has been written what it missed."""
        for standing in follower.standings.values():
            self.let_in(session, standing.conversation, standing.channel)

    def let_in(
        self, session: Session, conversation: Conversation, channel: Channel, after: Position | None = None
    ) -> None:
        """Let the session hear one conversation, from now on or past `after`, if it hears such ones."""
        if session.farewell is not None or channel.heard_by(session) or not _hears(session, conversation):
            return
        joining = channel.begin_join(session)
        self._heard.setdefault(session, set()).add(conversation.id)
        if session.catching_up is not None and session.catching_up.under_way:
            session.catching_up.begin(conversation.id, joining)
        else:
            self.finish(channel, joining, after or Position(joining.since, joining.since_rev))

    def finish(self, channel: Channel, joining: Joining, position: Position) -> None:
        """The session has everything up to `position`: let it hear the rest, soon."""
        if not channel.finish_join(joining, position):
            self._tasks.start(self._read_on(channel, joining, position))

    def end(self, session: Session) -> None:
        """The session is gone: it hears nothing any more."""
        for conversation_id in self._heard.pop(session, ()):
            self._leave(session, conversation_id)

    async def _read_on(self, channel: Channel, joining: Joining, position: Position) -> None:
        session = joining.session
        try:
            while not channel.finish_join(joining, position):
                await session.drained()
                seq = await self._tell_stored(channel, joining, position.seq)
                position = Position(seq, await self._tell_changes(channel, joining, position.rev, seq))
        except ClientError:
            session.close(UNAVAILABLE)  # it comes back, and goes on where it stopped

    async def _tell_stored(self, channel: Channel, joining: Joining, after: int) -> int:
        """Tell the session a page of what is stored; how far that went."""
        conversation = await self._ctx.seats.conversation(channel.conversation_id)
        messages = await self._ctx.store.history(channel.conversation_id, after=after, limit=_READ_AT_ONCE)
        if conversation is None or not messages:
            return max(after, joining.since)
        people = await self._ctx.people.find({message.sender_id for message in messages})
        for message in messages:
            event: Event = MessageSent(
                conversation=conversation, message=message, sender=people[message.sender_id]
            )
            self._tell((joining.session,), event)
        joining.saw(messages)
        return messages[-1].seq

    async def _tell_changes(self, channel: Channel, joining: Joining, after: int, seq: int) -> int:
        """Tell the session a page of the changes of messages up to `seq`; how far that went."""
        conversation = await self._ctx.seats.conversation(channel.conversation_id)
        changes = await self._ctx.store.changes(channel.conversation_id, after=after, limit=_READ_AT_ONCE)
        if conversation is None or not changes:
            return max(after, joining.since_rev)
        for event in await change_events(self._ctx, conversation, changes):
            if event.message.seq > seq:
                return event.rev - 1
            self._tell((joining.session,), event)
        return changes[-1].rev


def _hears(session: Session, conversation: Conversation) -> bool:
    match session.wire.dialect.hears:
        case Hears.JOINED:
            return False
        case Hears.DIRECT:
            return conversation.kind is Kind.DIRECT
        case Hears.ALL:
            return conversation.kind is not Kind.ROOM
