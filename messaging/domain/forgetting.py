"""What is kept of users, and erasing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from messaging.domain.values import dataclass

NOBODY = ""
"""Stands for an erased user, where it stays known that somebody did something."""
UPLOADS = "uploads"
"""The kind of the records of files that a user uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that is kept under a user's name: values of JSON, and times."""

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Up to where a user's records were told: the how-manieth kind, and the last record's key there."""

    kind: int
    key: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPage:
    """Some of a user's records, and where to go on; None after the last."""

    records: Sequence[Record] = ()
    next: RecordPlace | None = None


def record_page(
    records: Sequence[Record], place: RecordPlace, key: tuple[Any, ...], *, full: bool, kinds: int
) -> RecordPage:
    """The page of these records of one kind, of which `key` is the last one's; `full`: there may be more."""
    if full:
        return RecordPage(records=records, next=RecordPlace(kind=place.kind, key=key))
    more = place.kind + 1 < kinds
    return RecordPage(records=records, next=RecordPlace(kind=place.kind + 1) if more else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A user who is being erased: with `messages`, what they said goes, too. What they left in conversations
    up to the id `place` is gone already. `round`: how often it was begun."""

    user_id: str
    messages: bool = False
    place: str = ""
    round: int = 1
