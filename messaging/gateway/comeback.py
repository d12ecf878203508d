"""Comeback: what one Socket.IO connection has joined, and what it came back to.

See docs/design.md, Coming back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from messaging.domain.models import Conversation, Recovery
from messaging.gateway.offset import Offset, Reached, Told, Trail, mark_of, point

if TYPE_CHECKING:
    from messaging.gateway.session import Session


class Missed(NamedTuple):
    """A conversation that a client hears again, and up to where it knows it."""

    conversation: Conversation
    known: Reached


@dataclass(slots=True, eq=False)
class Comeback:
    """What one connection can come back to, by its private `pid`.

    `missed` is what it came back to itself; None for a client that is new.
    """

    pid: str
    sid: str
    user_id: str
    dialect: str
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    joins: dict[str, int] = field(default_factory=dict)
    """The conversations that it joined, each with the seq past which the client hears them."""
    missed: tuple[Missed, ...] | None = None
    readers: Mapping[str, int] = field(default_factory=dict)
    """What it was told that others read, besides what its trail says."""
    trail: Trail = field(init=False)
    session: Session | None = None
    tried: bool = False
    stored: bool = False
    """Whether the store has been asked to keep it, and whether it does."""
    ended: bool = False
    """Whether nobody may come back to it any more."""

    def __post_init__(self) -> None:
        self.trail = Trail(self.pid[0])

    def resume(self, missed: tuple[Missed, ...], told: frozenset[str], given: Offset, now: int) -> None:
        """Go on from what the client knows; of conversations that are not in `told` it may know nothing."""
        self.missed = missed
        reads = given.reads if told and given.reads is not None else now
        self.readers = given.readers if told else {}
        for reader, cursor in self.readers.items():
            self.trail.told(Told(now, f"~{reader}:{cursor}"))
        self.trail.reads, self.trail.whole = reads, False
        for conversation, known in missed:
            if conversation.id in told:
                self.trail.reach(point(conversation.id, mark_of(conversation.id), known.seq, known.rev))

    def record(self, expires_at: datetime) -> Recovery:
        """It as it is kept."""
        return Recovery(
            pid=self.pid,
            owner=self.owner,
            user_id=self.user_id,
            dialect=self.dialect,
            sid=self.sid,
            joins=tuple(self.joins.items()),
            expires_at=expires_at,
        )
