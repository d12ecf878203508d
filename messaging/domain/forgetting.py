"""What is kept of users, and erasing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that is kept under a user's name: values of JSON, and times."""

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A user who is being erased: with `messages`, what they said goes, too. What they left in conversations
    up to the id `place` is gone already."""

    user_id: str
    messages: bool = False
    place: str = ""
