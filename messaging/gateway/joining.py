"""Joining: a session is let into a conversation without a gap or a double between history and live.

Watch first, read second: what happens meanwhile is held until the history has been written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from messaging.dialects.base import Request
from messaging.domain.commands import JoinConversation, LoadHistory
from messaging.domain.errors import PermissionDenied, RoomNotFound
from messaging.domain.replies import Joined
from messaging.gateway.farewell import SLOW
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

    async def run(self, ref: object | None) -> Outcome:
        """Carry the command out and write its answer, the history, and what came meanwhile."""
        self._joining = joining = await self._gateway.hub.begin_join(self._session, self._conversation_id)
        try:
            outcome = await self._gateway.execute(self._session.actor, self._command)
            if not isinstance(outcome, Outcome) or not isinstance(outcome.reply, Joined):
                raise TypeError("joining gives a Joined")
            joined = outcome.reply
            first = joined.messages[0].message.seq - 1 if joined.messages else joined.last_seq
            await self._gateway.recoveries.joined(self._session, self._conversation_id, first)
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
        position = joined.last_seq
        after = joined.messages[-1].message.seq if joined.missing else position
        session.write_history(self._request, joined, ref, here=hub.point(self._conversation_id, after))
        if joined.missing:
            position = max(position, await self._write_missed(after, position))
        while not hub.finish_join(joining, self._conversation_id, position):
            position = await self._write_missed(position, None)

    async def _write_missed(self, after: int, up_to: int | None) -> int:
        """Write what was missed past `after`, page by page, as the client takes it; how far it went."""
        while self._session.farewell is None:
            await self._session.drained()
            if not self._gateway.hub.is_joining(self._joining, self._conversation_id):
                raise RoomNotFound  # the user was removed meanwhile
            missed = LoadHistory(conversation_id=self._conversation_id, after=after, limit=MISSED_PAGE)
            page = await self._gateway.history(missed)
            if not page.messages:
                break
            after = page.messages[-1].message.seq
            here = self._gateway.hub.point(self._conversation_id, after)
            self._session.write_history(self._request, page, here=here)
            if after >= (page.last_seq if up_to is None else up_to):
                break
        return after

    def _give_up(self, joining: Joining, error: BaseException) -> None:
        """It failed. What was joined before still is, unless the user may not be there any more."""
        session, hub = self._session, self._gateway.hub
        if self._conversation_id not in session.watched:
            hub.leave(session, self._conversation_id)
            self._gateway.recoveries.left(session, self._conversation_id)
        elif isinstance(error, RoomNotFound | PermissionDenied):
            session.unwatch(self._conversation_id)
        elif not hub.finish_join(joining, self._conversation_id, joining.since):
            session.close(SLOW)  # more happened than is held; it catches up when it comes back
