"""What every command is given: the ports, the limits, and what was looked up a moment ago."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from dataclasses import field
from typing import Any, NamedTuple

from messaging.domain.events import (
    Announcement,
    CensusTold,
    ConversationChanged,
    ConversationDeleted,
    MemberAdded,
    MemberRemoved,
    MessagesRead,
    PlaceChanged,
)
from messaging.domain.ids import IdSource
from messaging.domain.models import Conversation, Role
from messaging.domain.replies import Reply
from messaging.domain.values import dataclass
from messaging.service.blocks import KnownBlocks
from messaging.service.committer import Committer
from messaging.service.hooks import Hooks
from messaging.service.merging import Merging
from messaging.service.pages import Pages
from messaging.service.people import People
from messaging.service.policy import Policy
from messaging.service.ports import Census, Clock, Presence, RateLimits, Store, Tokens
from messaging.service.ports_push import NoPushing, Pushing
from messaging.service.recent import Recent
from messaging.service.revocations import Revocations
from messaging.service.typing import Typists

SEAT_SECONDS = 1.0
"""How long a membership may be taken for granted when no event says that it changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command leads to: the reply to the one who asked, then what everybody is told, in order."""

    reply: Reply
    events: tuple[Announcement, ...] = ()


class Wish(NamedTuple):
    """To have read a conversation up to `seq`; `explicit` where the message itself was named."""

    seq: int
    explicit: bool = True


class Read(NamedTuple):
    """What became of it: what is told to everybody, or again to the caller; nothing where another tells.
    `place`: nothing was left to read, but the user had marked it unread by hand."""

    new: MessagesRead | None = None
    again: MessagesRead | None = None
    place: PlaceChanged | None = None


Result = Outcome | Future[Outcome]
"""A handler's result. A future when the write is queued and the next command of its kind may start."""


class Seat(NamedTuple):
    """Somebody's place in a conversation: what it is, if it is there, and their role in it, if any."""

    conversation: Conversation | None
    role: Role | None


class Seats:
    """Conversations and roles as of at most a second ago; at once where an event tells of a change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._conversations: Recent[str, Conversation] = Recent(20_000, SEAT_SECONDS)
        self._roles: Recent[tuple[str, str], tuple[Role | None]] = Recent(50_000, SEAT_SECONDS)

    async def find(self, conversation_id: str, user_id: str) -> Seat:
        """The conversation and the user's role there."""
        conversation = await self.conversation(conversation_id)
        if conversation is None:
            return Seat(None, None)
        known = self._roles.get((conversation_id, user_id))
        if known is None:
            age = self._roles.age
            member = await self._store.member(conversation_id, user_id)
            known = (member.role if member else None,)
            if age == self._roles.age:
                self._roles.put((conversation_id, user_id), known)
        return Seat(conversation, known[0])

    def at_hand(self, conversation_id: str, user_id: str) -> Seat | None:
        """The same, where both were looked up a moment ago."""
        conversation = self._conversations.get(conversation_id)
        known = self._roles.get((conversation_id, user_id))
        return None if conversation is None or known is None else Seat(conversation, known[0])

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, if there is one. That there is none is never remembered."""
        known = self._conversations.get(conversation_id)
        if known is None:
            age = self._conversations.age
            known = await self._store.conversation(conversation_id)
            if known is not None and age == self._conversations.age:
                self._conversations.put(conversation_id, known)
        return known

    def note(self, event: Announcement) -> None:
        """Forget what an event says is no longer so."""
        match event:
            case ConversationChanged(view=view):
                self._forget(view.conversation.id)
            case ConversationDeleted(conversation=conversation):
                self._forget(conversation.id)
            case MemberAdded(view=view, user_id=user_id):
                self._forget(view.conversation.id, user_id)
            case MemberRemoved(conversation=conversation, user_id=user_id):
                self._forget(conversation.id, user_id)
            case _:
                pass

    def _forget(self, conversation_id: str, user_id: str | None = None) -> None:
        self._conversations.forget(conversation_id)
        if user_id is None:
            self._roles.clear()  # any role there may have changed; such events are rare
        else:
            self._roles.forget((conversation_id, user_id))


class Nobody:
    """A Census where nobody can connect: before there is a gateway."""

    async def take(
        self, *, user_id: str | None = None, after: str | None = None, limit: int = 0
    ) -> Sequence[CensusTold]:
        """As Census.take."""
        del user_id, after, limit
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The service's surroundings. One per process; handlers read it and never replace anything in it."""

    store: Store
    presence: Presence
    limits: RateLimits
    tokens: Tokens
    clock: Clock
    ids: IdSource
    policy: Policy
    committer: Committer
    hooks: Hooks
    blocks: KnownBlocks
    seats: Seats
    people: People
    pages: Pages
    typists: Typists = field(default_factory=Typists)
    revocations: Revocations = field(default_factory=Revocations)
    census: Census = field(default_factory=Nobody)
    pushing: Pushing = field(default_factory=NoPushing)
    reads: Merging[tuple[str, str], Wish, Read] = field(default_factory=Merging)
    """Cursors that are being moved, by conversation and reader."""
    changes: Merging[str, Any, Any] = field(default_factory=Merging)
    """Messages that are being changed, by conversation."""


def make_context(
    *,
    store: Store,
    presence: Presence,
    limits: RateLimits,
    tokens: Tokens,
    clock: Clock,
    policy: Policy,
    webhooks: frozenset[str] = frozenset(),
    pushing: Pushing | None = None,
) -> Context:
    """A context on these ports. `webhooks` are the types of what a webhook wants to be told."""
    ids = IdSource(clock)
    people = People(store)
    return Context(
        store=store,
        presence=presence,
        limits=limits,
        tokens=tokens,
        clock=clock,
        ids=ids,
        policy=policy,
        committer=Committer(store),
        hooks=Hooks(store, ids, clock, webhooks),
        blocks=KnownBlocks(store),
        seats=Seats(store),
        people=people,
        pages=Pages(store, people),
        pushing=pushing or NoPushing(),
    )
