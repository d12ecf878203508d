"""What every command is given: the ports, the limits, and what was looked up a moment ago."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from dataclasses import field
from typing import Any, NamedTuple

from messaging.domain.events import (
    Announcement,
    CensusTold,
    MessagesRead,
    PlaceChanged,
)
from messaging.domain.ids import IdSource
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
from messaging.service.revocations import Revocations
from messaging.service.seats import Seat, Seats
from messaging.service.typing import Typists

__all__ = ["Context", "Outcome", "People", "Read", "Result", "Seat", "Seats", "Wish", "make_context"]


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
