"""Catching up: where a device stands in all of its user's conversations.

A position moves only past messages that were written to a connection which answered a question that was
asked afterwards. So what was pushed into a dead connection counts as not delivered: a repeat is possible, a
loss is not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from messaging.domain.errors import ClientError
from messaging.domain.events import Notified
from messaging.domain.ids import INBOX
from messaging.domain.models import Position
from messaging.domain.replies import Missed

if TYPE_CHECKING:
    from messaging.gateway.channel import Joining
    from messaging.gateway.gateway import Gateway
    from messaging.gateway.session import Session

ASK_SECONDS = 0.1
"""How long after a message the client is asked whether it has come, if it is not asked before."""


class CatchingUp:
    """One session that hears all of its user's conversations, and continues where its device stopped."""

    def __init__(self, gateway: Gateway, session: Session) -> None:
        self.under_way = True
        """Whether what was missed has not been written yet. Nothing that is live counts until then."""
        self._gateway = gateway
        self._session = session
        self._joinings: dict[str, Joining] = {}
        self._held: list[Notified] = []
        """Notifications that came before what was missed had been written."""
        self._written: dict[str, Position] = {}
        """Positions that have been written to the client, and not been asked about yet."""
        self._asked: tuple[int, dict[str, Position]] | None = None
        """The question under way, and the positions that its answer confirms."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, conversation_id: str, joining: Joining) -> None:
        """Hold what happens in a conversation until what was missed has been written."""
        self._joinings[conversation_id] = joining

    def hold(self, event: Notified) -> None:
        """Keep a notification until what was missed has been written."""
        self._held.append(event)

    def written(self, conversation_id: str, position: Position) -> None:
        """A live message, or a change of one, was written to the client, as was all before it there."""
        known = self._written.get(conversation_id)
        self._written[conversation_id] = known.raised_to(position) if known else position
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ASK_SECONDS, self._ask_in_time)

    def finish(self, missed: Missed) -> None:
        """What was missed has been written: go live."""
        self.under_way = False
        self._written = dict(missed.positions)
        hub = self._gateway.hub
        for conversation_id, joining in self._joinings.items():
            channel = hub.channels.get(conversation_id)
            if channel is not None:
                since = Position(joining.since, joining.since_rev)
                hub.hearing.finish(channel, joining, self._written.get(conversation_id, since))
        self._joinings.clear()
        held, self._held = self._held, []
        for event in held:
            if event.position > self._written.get(INBOX, Position()).seq:  # else it was among what was missed
                hub.tell((self._session,), event)
                self._written[INBOX] = Position(event.position)
        self.ask(even_if_nothing_was_written=True)

    def ask(self, *, even_if_nothing_was_written: bool = False) -> None:
        """Ask the client to confirm what has been written, unless a question is under way."""
        if self._asked is None and (self._written or even_if_nothing_was_written):
            token = self._session.question()
            self._asked = (token, self._written)
            self._written = {}
            self._session.probe(token)

    def confirmed(self, token: int) -> None:
        """The client answered: everything before the question has reached it."""
        if self._asked is not None and self._asked[0] == token:
            self._gateway.tasks.start(self._keep(self._asked[1]))

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask_in_time(self) -> None:
        self._timer = None
        self.ask()

    async def _keep(self, positions: dict[str, Position]) -> None:
        ctx, device = self._gateway.ctx, self._session.device or ""
        try:
            await ctx.store.keep_positions(self._session.user_id, device, positions, at=ctx.clock())
        except ClientError:
            for where, position in positions.items():  # they are kept with the next answer
                self._written[where] = self._written.get(where, Position()).raised_to(position)
        finally:
            self._asked = None
            if self._session.farewell is None:
                self.ask()  # about what has been written meanwhile
