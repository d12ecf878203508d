"""Joining: a session is let into a conversation without a gap or a double between history and live.

Watch first, read second: what happens meanwhile is held until the history has been written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from messaging.dialects.base import Request
from messaging.domain.commands import JoinConversation, LoadHistory
from messaging.domain.errors import PermissionDenied, RoomNotFound
from messaging.domain.events import MessageChange
from messaging.domain.models import Change, Conversation, Position
from messaging.domain.replies import Joined
from messaging.gateway.farewell import SLOW
from messaging.gateway.offset import milliseconds
from messaging.service.changes import change_events, rev_at
from messaging.service.context import Outcome
from messaging.service.policy import MISSED_PAGE

if TYPE_CHECKING:
    from messaging.gateway.channel import Joining
    from messaging.gateway.gateway import Gateway
    from messaging.gateway.session import Session


class Join:
    """One session's way into one conversation."""

    def __init__(
        self, gateway: Gateway, session: Session, request: Request, command: JoinConversation
    ) -> None:
        self._gateway = gateway
        self._session = session
        self._request = request
        self._conversation_id = command.conversation_id
        self._command = command
        self._joining: Joining
        self._rev = 0
        """The last rev of a change that the client knows, or can see in its history."""
        self._reads = 0
        """Up to when it knows what others read."""

    async def run(self, ref: object | None) -> Outcome:
        """Carry the command out and write its answer, the history, and what came meanwhile."""
        alone = not self._session.watched  # nobody else's reads are still on their way to the client
        self._reads = milliseconds(self._gateway.ctx.clock()) if alone else self._gateway.hub.reads_until()
        self._joining = joining = await self._gateway.hub.begin_join(self._session, self._conversation_id)
        try:
            outcome = await self._gateway.execute(self._session.actor, self._command)
            if not isinstance(outcome, Outcome) or not isinstance(outcome.reply, Joined):
                raise TypeError("joining gives a Joined")
            joined = outcome.reply
            self._rev = self._gateway.hub.shown_rev(joining, self._conversation_id, joined.last_rev)
            first = joined.messages[0].message.seq - 1 if joined.messages else joined.last_seq
            await self._gateway.recoveries.joined(self._session, self._conversation_id, first)
            await self._session.answered()
            await self._write(joined, ref, joining)
        except BaseException as error:
            self._give_up(joining, error)
            raise
        return outcome

    async def _write(self, joined: Joined, ref: object | None, joining: Joining) -> None:
        hub, session = self._gateway.hub, self._session
        if session.farewell is not None:
            hub.leave(session, self._conversation_id)
            return
        if not hub.is_joining(joining, self._conversation_id):
            raise RoomNotFound  # the user was removed, or the conversation deleted, meanwhile
        session.watch(joined.conversation)
        after = self._command.after
        told = self._rev if after is None else await rev_at(self._gateway.ctx, self._conversation_id, after)
        seq = joined.last_seq
        first = joined.messages[-1].message.seq if joined.missing else seq
        here = hub.point(self._conversation_id, Position(first, told))
        if session.trail is not None:
            session.trail.read_up_to(self._reads)
        session.write_history(self._request, joined, ref, here=here)
        joining.saw(seen.message for seen in joined.messages)
        if joined.missing:
            seq = max(seq, await self._write_missed(first, seq, told))
        if after is not None:
            await self._write_missed_changes(joined.conversation, after, told, seq)
        while not hub.finish_join(joining, self._conversation_id, Position(seq, self._rev)):
            seq = await self._write_missed(seq, None, self._rev)
            self._rev = await self._write_changes(joined.conversation, self._rev, seq)
        self._gateway.deliveries.joined(session, joined.conversation, seq)

    async def _write_missed(self, after: int, up_to: int | None, rev: int) -> int:
        """Write what was missed past `after`, page by page, as the client takes it; how far it went. It knows
        all changes up to `rev`."""
        while self._session.farewell is None:
            await self._session.drained()
            if not self._gateway.hub.is_joining(self._joining, self._conversation_id):
                raise RoomNotFound  # the user was removed meanwhile
            missed = LoadHistory(conversation_id=self._conversation_id, after=after, limit=MISSED_PAGE)
            page = await self._gateway.history(missed)
            if not page.messages:
                break
            self._joining.saw(seen.message for seen in page.messages)
            after = page.messages[-1].message.seq
            here = self._gateway.hub.point(self._conversation_id, Position(after, rev))
            self._session.write_history(self._request, page, here=here)
            if after >= (page.last_seq if up_to is None else up_to):
                break
        return after

    async def _write_missed_changes(self, conversation: Conversation, heard: int, rev: int, seq: int) -> None:
        """Write what became of messages up to seq `heard`, the last that the client had, while it was away.
        Later ones, up to `seq`, have been written as they are now."""
        while rev < self._rev and self._session.farewell is None:
            changes = await self._changes(rev, min(MISSED_PAGE, self._rev - rev))
            if not changes:
                return
            for event in await change_events(self._gateway.ctx, conversation, changes, up_to_seq=heard):
                self._tell(event, seq)
            rev = changes[-1].rev

    async def _write_changes(self, conversation: Conversation, after: int, seq: int) -> int:
        """Write a page of changes, up to the first of a message past `seq`; how far it went."""
        changes = await self._changes(after, MISSED_PAGE)
        for event in await change_events(self._gateway.ctx, conversation, changes):
            if event.message.seq > seq:
                return event.rev - 1
            self._tell(event, seq)
        return changes[-1].rev if changes else max(after, self._joining.since_rev)

    def _tell(self, event: MessageChange, seq: int) -> None:
        here = self._gateway.hub.point(self._conversation_id, Position(seq, event.rev))
        self._session.write_missed(event, here)

    async def _changes(self, after: int, limit: int) -> Sequence[Change]:
        await self._session.drained()
        if not self._gateway.hub.is_joining(self._joining, self._conversation_id):
            raise RoomNotFound  # the user was removed meanwhile
        return await self._gateway.ctx.store.changes(self._conversation_id, after=after, limit=limit)

    def _give_up(self, joining: Joining, error: BaseException) -> None:
        """It failed. What was joined before still is, unless the user may not be there any more."""
        session, hub = self._session, self._gateway.hub
        if self._conversation_id not in session.watched:
            hub.leave(session, self._conversation_id)
            self._gateway.recoveries.left(session, self._conversation_id)
        elif isinstance(error, RoomNotFound | PermissionDenied):
            session.unwatch(self._conversation_id)
        elif not hub.finish_join(joining, self._conversation_id, Position(joining.since, joining.since_rev)):
            session.close(SLOW)  # more happened than is held; it catches up when it comes back
