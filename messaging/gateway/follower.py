"""Follower: one connected user, over all of their connections to this process.

Follows every conversation that the user is a member of, and so knows their unread counts in memory: by
subtraction, never by looking at messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from messaging.domain.arrivals import Arrival
from messaging.domain.events import MessageChange, MessageSent, MessagesRead, UnreadChanged
from messaging.domain.models import Kind, Member, Membership, Position
from messaging.gateway.paced import Errand

if TYPE_CHECKING:
    from messaging.gateway.channel import Channel
    from messaging.gateway.session import Session

UNREAD_SECONDS = 0.25
"""Changes of the unread counts are merged so that they are told at most this often."""


class Standing:
    """How far a user has read in one conversation, and what it is to them."""

    __slots__ = (
        "archived_at",
        "channel",
        "conversation",
        "counts",
        "cursor",
        "known_seq",
        "muted",
        "own_read",
        "own_sent",
        "unread_at",
    )

    def __init__(self, channel: Channel, membership: Membership) -> None:
        self.channel = channel
        self.conversation = membership.conversation
        self.counts = membership.conversation.kind is not Kind.ROOM
        self.known_seq = membership.last_seq
        self.cursor = membership.member.cursor
        self.own_read = membership.member.own_read
        self.own_sent = membership.own_sent
        self.muted = False
        self.archived_at: int | None = None
        self.unread_at: int | None = None
        self.place(membership.member)

    def place(self, member: Member) -> bool:
        """What the user did with the conversation for themselves alone; whether that is news."""
        news = self.differs(member)
        self.muted, self.archived_at, self.unread_at = member.muted, member.archived_at, member.unread_at
        return news

    def differs(self, member: Member) -> bool:
        """Whether the store says otherwise."""
        known = (self.muted, self.archived_at, self.unread_at)
        return known != (member.muted, member.archived_at, member.unread_at)

    def returns(self, seq: int) -> bool:
        """Whether this message is the one that brings the conversation back from where it was put away."""
        return self.archived_at == seq - 1 and not self.muted

    def raise_to(self, membership: Membership) -> bool:
        """What the store says now, of which nothing goes back; whether it changes what is unread."""
        before = self.unread
        self.known_seq = max(self.known_seq, membership.last_seq)
        self.own_sent = max(self.own_sent, membership.own_sent)
        self.read(membership.member.cursor, membership.member.own_read)
        return self.unread != before

    def read(self, cursor: int, own_read: int) -> bool:
        """The user has read up to `cursor`; whether that is news."""
        if self.cursor >= cursor:
            return False
        self.cursor, self.own_read = cursor, own_read
        return True

    @property
    def unread(self) -> int:
        """As Membership counts it."""
        if not self.counts:
            return 0
        last_seq = max(self.known_seq, self.channel.last_seq)
        marked = self.unread_at == self.cursor
        return max(int(marked), (last_seq - self.cursor) - (self.own_sent - self.own_read))


class Inbox:
    """How far what concerns the user alone has been told here; see `gateway.personal`."""

    __slots__ = ("behind", "busy", "position")

    def __init__(self) -> None:
        self.position: int | None = None
        """The last that was told; None until that is known."""
        self.behind: int | None = None
        """The first that came and could not be told yet: what is before it is missing."""
        self.busy = False
        """Whether what is missing is being read from the store."""

    @property
    def waiting(self) -> bool:
        """Whether something came too early, and has not been told yet."""
        return self.behind is not None and self.behind > (self.position or 0)


class Follower:
    """The user's sessions here and their standing in each of their conversations."""

    def __init__(
        self,
        user_id: str,
        clock: Callable[[], datetime],
        tell: Callable[[Follower, UnreadChanged], None],
        returned: Callable[[Follower, str], None],
    ) -> None:
        self.user_id = user_id
        self.sessions: dict[Session, None] = {}
        self.standings: dict[str, Standing] = {}
        self.ready: asyncio.Future[None] | None = None
        """Done when the standings have been loaded."""
        self.farewell: Errand | None = None
        """Ends the user's presence when no connection comes back in time."""
        self.inbox = Inbox()
        self.hidden: frozenset[str] = frozenset()
        """Users whom this one does not see come, go or type: one of the two has blocked the other."""
        self.arrival: Arrival | None = None
        """What was read when they came, until it was told that they are here."""
        self._clock = clock
        self._tell = tell
        self._returned = returned
        self._early: dict[str, MessagesRead] | None = {}
        """What was read while the standings were being loaded; None from then on."""
        self._changed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0

    @property
    def settled(self) -> bool:
        """Whether the standings are those of the store, but for what was announced since."""
        return self._early is None

    @property
    def total_unread(self) -> int:
        """Unread messages of all conversations that are not muted."""
        return sum(s.unread for s in self.standings.values() if not s.muted)

    def message_sent(self, event: MessageSent, standing: Standing) -> None:
        """A message came in a conversation where the user stands so."""
        conversation_id = event.conversation.id
        for session in self.sessions:
            if session.catching_up is not None and session.signed_in and session in standing.channel.watchers:
                session.catching_up.written(conversation_id, Position(event.message.seq))
        message = event.message
        if standing.archived_at is not None and standing.returns(message.seq):
            self._returned(self, conversation_id)
        if message.sender_id == self.user_id:
            standing.own_sent = max(standing.own_sent, message.sender_seq)
        else:
            self.recount(conversation_id)

    def message_changed(self, event: MessageChange, standing: Standing) -> None:
        """A message was changed in a conversation where the user stands so."""
        for session in self.sessions:
            if session.catching_up is not None and session.signed_in and session in standing.channel.watchers:
                session.catching_up.written(event.conversation.id, Position(rev=event.rev))

    def messages_read(self, event: MessagesRead) -> None:
        """The user read, on any of their devices. A cursor never goes back."""
        conversation_id = event.conversation.id
        standing = self.standings.get(conversation_id)
        if standing is not None and standing.read(event.cursor, event.own_read):
            self.recount(conversation_id)
        if self._early is not None:
            known = self._early.get(conversation_id)
            if known is None or known.cursor < event.cursor:
                self._early[conversation_id] = event

    def stand(self, conversation_id: str, standing: Standing) -> None:
        """Count what is unread there from now on; with what was read since the store was asked."""
        self.standings[conversation_id] = standing
        if self._early is not None and (event := self._early.get(conversation_id)) is not None:
            standing.read(event.cursor, event.own_read)

    def loaded(self) -> None:
        """All standings are known."""
        self._early = None

    def unread_changed(self) -> UnreadChanged:
        """The total as it is now."""
        return UnreadChanged(user_id=self.user_id, total=self.total_unread, at=self._clock())

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self.farewell is not None:
            self.farewell.cancel()
        self._timer = self.farewell = None

    def recount(self, conversation_id: str) -> None:
        """What is unread there, and so in all, is no longer what was told: tell it soon."""
        self._changed.add(conversation_id)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._told_at + UNREAD_SECONDS - loop.time())
            self._timer = loop.call_later(wait, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        changed, self._changed = self._changed, set()
        conversation_id = changed.pop() if len(changed) == 1 else None
        standing = self.standings.get(conversation_id) if conversation_id else None
        event = UnreadChanged(
            user_id=self.user_id,
            total=self.total_unread,
            conversation_id=conversation_id if standing else None,
            unread=standing.unread if standing else None,
            at=self._clock(),
        )
        self._tell(self, event)
