"""The part of the store that finds messages by their words. A part of `ports.Store`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from messaging.domain.models import Message
from messaging.domain.words import Query


class Finding(Protocol):
    """Every store finds the same, since one function cuts all texts into words (`domain.words`)."""

    async def member_of(self, user_id: str) -> frozenset[str]:
        """The ids of all conversations that the user is a member of."""

    async def search(
        self, query: Query, *, conversation_ids: Collection[str], before: int | None = None, limit: int
    ) -> Sequence[Message]:
        """Messages in these conversations that have all that the query asks for, the highest id first.

        Only those with an id below `before`, where that is given. A message is found as soon as it is stored,
        by its new words as soon as it is edited, and no more once it is deleted.
        """
