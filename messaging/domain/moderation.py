"""What users do about one another: blocks and reports. Frozen values, as in models.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from messaging.domain.models import Profile
from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A user wants nothing to do with another one, who had `seen` them last at that time (None: never): what
    the other one is told from then on, as of somebody who became invisible."""

    user_id: str
    blocked_id: str
    at: datetime
    seen: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A user told the operators of a message. `content` is what it said then, whatever became of it."""

    id: int
    message_id: int
    conversation_id: str
    seq: int
    sender_id: str
    content: str
    sent_at: datetime
    reporter_id: str
    reason: str | None = None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockView:
    """A block as its user sees it, with whom it keeps out."""

    block: Block
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """A report with who wrote the message and who told of it; None for somebody who was erased."""

    report: Report
    sender: Profile
    reporter: Profile | None


def blocked_with_each(
    user_ids: Collection[str], blocks: Iterable[tuple[str, str]]
) -> dict[str, frozenset[str]]:
    """Of each of these users, who blocked them or is blocked by them; `blocks` are pairs of the two."""
    found: dict[str, set[str]] = {}
    for pair in blocks:
        for one, other in (pair, pair[::-1]):
            if one in user_ids:
                found.setdefault(one, set()).add(other)
    return {user_id: frozenset(others) for user_id, others in found.items()}
