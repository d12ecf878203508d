"""Personal: what concerns one user alone is told to their sessions here, each thing once and in order.

Notifications, what somebody does with a conversation for themselves, and blocks are counted by a position of
that user. An event says which one it is: the next one is told, one that came before is not, and one that
comes too early shows that something is missing, which is then read from the store. So is what the comparison
of positions finds, for what the bus lost may have been the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from messaging.domain.errors import ClientError
from messaging.domain.events import BlocksChanged, Event, Notified, PlaceChanged, PresenceChanged
from messaging.domain.ids import INBOX
from messaging.domain.models import Membership, Position, Status
from messaging.gateway.follower import Follower
from messaging.gateway.session import Session
from messaging.gateway.tasks import Tasks
from messaging.service import presence
from messaging.service.context import Context
from messaging.service.places import place_changed

GAP_SECONDS = 0.05
"""How long what is missing may still come by itself before it is read from the store."""
_COMPARED_AT_ONCE = 500
_READ_AT_ONCE = 200

PersonalEvent = Notified | PlaceChanged | BlocksChanged
"""What is counted by the position of a user."""


class Personal:
    """Brings what this process's users were told of their own up to where the store is."""

    def __init__(
        self,
        ctx: Context,
        followers: Mapping[str, Follower],
        tell: Callable[[Iterable[Session], Event], None],
        tasks: Tasks,
        added: Callable[[Follower, str], Awaitable[None]],
    ) -> None:
        self._ctx = ctx
        self._added = added
        self._followers = followers
        self._tell = tell
        self._tasks = tasks

    async def position(self, user_id: str) -> int:
        """Where the user is now: to be asked before anything else about them is read."""
        return (await self._ctx.store.inbox_positions([user_id]))[user_id]

    def begin(self, follower: Follower, position: int) -> None:
        """What came up to `position` need not be told; nor what was read of the store since. What was held
        meanwhile is."""
        inbox = follower.inbox
        inbox.position = position if inbox.behind is None else min(position, inbox.behind - 1)
        if inbox.behind is not None:
            self._start_catching_up(follower, wait=0)

    def happened(self, event: PersonalEvent) -> None:
        """Something concerned one user alone: tell it now, later, or not again."""
        follower = self._followers.get(event.user_id)
        if follower is None:
            return
        inbox = follower.inbox
        if event.position == 0:
            self._apply(follower, event)
        elif inbox.position is not None and event.position == inbox.position + 1:
            inbox.position = event.position
            self._apply(follower, event)
        elif inbox.position is None or event.position > inbox.position:
            inbox.behind = min(event.position, inbox.behind or event.position)
            if inbox.position is not None:
                self._start_catching_up(follower, wait=GAP_SECONDS)

    def returned(self, follower: Follower, conversation_id: str) -> None:
        """A message brought back a conversation that the user had put away."""
        self._tasks.start(self._tell_place(follower, conversation_id))

    async def compare(self) -> None:
        """Compare every position with the store once, and catch up where this process is behind."""
        user_ids = list(self._followers)
        for start in range(0, len(user_ids), _COMPARED_AT_ONCE):
            chunk = user_ids[start : start + _COMPARED_AT_ONCE]
            positions = await self._ctx.store.inbox_positions(chunk)
            for user_id in chunk:
                follower = self._followers.get(user_id)
                known = follower.inbox.position if follower else None
                if follower is not None and known is not None and known < positions[user_id]:
                    await self._catch_up(follower, wait=0)

    def _start_catching_up(self, follower: Follower, *, wait: float) -> None:
        if not follower.inbox.busy:
            self._tasks.start(self._catch_up(follower, wait=wait))

    async def _catch_up(self, follower: Follower, *, wait: float) -> None:
        inbox = follower.inbox
        if inbox.busy:
            return
        inbox.busy = True
        try:
            await asyncio.sleep(wait)
            while self._followers.get(follower.user_id) is follower and not await self._read_on(follower):
                pass
        except ClientError:
            pass  # the next comparison finds it again
        finally:
            inbox.busy = False

    async def _read_on(self, follower: Follower) -> bool:
        """Tell what the store has past what was told; whether that was all."""
        store, inbox = self._ctx.store, follower.inbox
        inbox.behind = None
        end = await self.position(follower.user_id)
        notes = await store.notifications_after(follower.user_id, inbox.position or 0, limit=_READ_AT_ONCE)
        places = await self._changed_places(follower, await store.memberships(follower.user_id))
        blocked = await store.blocked_with(follower.user_id)
        if len(notes) == _READ_AT_ONCE:
            end = notes[-1].position
        now = self._ctx.clock()
        for note in notes:
            if note.position > (inbox.position or 0):  # else it came by itself meanwhile
                self._apply(follower, Notified(user_id=follower.user_id, notification=note, at=now))
                inbox.position = note.position
        for event in places:
            self._apply(follower, event)
        self._hide(follower, blocked)
        inbox.position = max(end, inbox.position or 0)
        return len(notes) < _READ_AT_ONCE and not inbox.waiting

    async def _changed_places(
        self, follower: Follower, memberships: Sequence[Membership]
    ) -> list[PlaceChanged]:
        """Who was added to a group is told that under a position, too: if it was lost, so may be the rest."""
        changed = []
        for membership in memberships:
            conversation_id = membership.conversation.id
            standing = follower.standings.get(conversation_id)
            if standing is None:
                await self._added(follower, conversation_id)
            elif standing.differs(membership.member):
                event = await place_changed(self._ctx, follower.user_id, conversation_id, 0)
                changed += [event] if event else []
        return changed

    def _hide(self, follower: Follower, hidden: frozenset[str]) -> None:
        """From now on the user does not see these. Of whom they see no more, or again, they are told so."""
        news, follower.hidden = follower.hidden ^ hidden, hidden
        for user_id in news:
            self._tasks.start(self._tell_presence(follower, user_id))

    async def _tell_presence(self, follower: Follower, user_id: str) -> None:
        user = (await self._ctx.store.users([user_id])).get(user_id)
        if user is None or not self._ctx.policy.presence:
            return
        status = await presence.status_of(self._ctx, user)
        if status is Status.OFFLINE:
            return  # as it seemed before
        if not await presence.are_contacts(self._ctx, follower.user_id, user_id):
            return
        hidden, seen = user_id in follower.hidden, None
        if hidden:
            seen = await presence.seen_before_block(self._ctx, follower.user_id, user_id)
        event = PresenceChanged(
            user=user.profile,
            status=Status.OFFLINE if hidden else status,
            crossed=True,
            last_seen=seen,
            conversations=(),
            at=self._ctx.clock(),
        )
        self._tell(list(follower.sessions), event)

    async def _tell_place(self, follower: Follower, conversation_id: str) -> None:
        event = await place_changed(self._ctx, follower.user_id, conversation_id, 0)
        if event is not None:
            self._apply(follower, event)

    def _apply(self, follower: Follower, event: PersonalEvent) -> None:
        match event:
            case Notified():
                self._notify(follower, event)
            case PlaceChanged():
                self._tell(list(follower.sessions), event)
                self._place(follower, event)
            case BlocksChanged():
                other, others = frozenset([event.other_id]), follower.hidden
                self._hide(follower, others | other if event.blocked else others - other)

    def _notify(self, follower: Follower, event: Notified) -> None:
        """Tell all but those that are still being told what they missed, which may contain this."""
        live = []
        for session in follower.sessions:
            catching_up = session.catching_up
            if catching_up is not None and catching_up.under_way:
                catching_up.hold(event)
                continue
            live.append(session)
            if catching_up is not None and session.signed_in:
                catching_up.written(INBOX, Position(event.position))
        self._tell(live, event)

    def _place(self, follower: Follower, event: PlaceChanged) -> None:
        if event.view.mine is None:
            return
        conversation_id = event.view.conversation.id
        standing = follower.standings.get(conversation_id)
        if standing is not None and standing.place(event.view.mine.member):
            follower.recount(conversation_id)
