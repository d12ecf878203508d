"""What a store keeps of people, and how it forgets them. A part of `ports.Store`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from messaging.domain.forgetting import Erasure, RecordPage, RecordPlace
from messaging.domain.models import Message


class Forgetting(Protocol):
    """A user's records, and their erasure in steps that may be repeated."""

    async def records(self, user_id: str, *, after: RecordPlace | None = None, limit: int) -> RecordPage:
        """Some of what is kept under this user's name but for messages and reactions, past `after`: at most
        `limit` records of one kind, values of JSON and times. May have none, and go on all the same. Secrets
        are left out."""

    async def reacted_to(self, user_id: str, *, after: int = 0, limit: int) -> Sequence[int]:
        """Messages past the id `after` on which the user ever put a reaction, by rising id: at most `limit`;
        none when there are no more. The reaction may have been taken back since."""

    async def conversation_ids(self, *, after: str = "", limit: int) -> Sequence[str]:
        """The first `limit` ids of all conversations past `after`, in rising order."""

    async def written_in(self, conversation_ids: Collection[str], user_id: str) -> frozenset[str]:
        """In which of these conversations there are messages of this user."""

    async def sent(
        self, conversation_id: str, user_id: str, *, after: int = 0, limit: int
    ) -> Sequence[Message]:
        """The user's own messages there past seq `after`, by rising seq."""

    async def places_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[str]:
        """The first `limit` conversations past `after` that the user is a member of, by rising id."""

    async def begin_erasure(self, user_id: str, *, messages: bool) -> None:
        """Keep that a user is to be erased, with their messages or without. One that was begun is begun
        anew; with messages, if either said so."""

    async def erasure(self, user_id: str) -> Erasure | None:
        """The user's, if it is not done."""

    async def erasures(self, *, limit: int) -> Sequence[Erasure]:
        """Those that are not done, by user id."""

    async def note_erasure(self, erasure: Erasure, *, place: str) -> bool:
        """The erasure is through with all conversations up to `place`. False where it was begun anew since,
        and nothing is noted."""

    async def end_erasure(self, erasure: Erasure) -> bool:
        """It is done. False where it was begun anew since, and is not."""

    async def forget_user(self, user_id: str) -> None:
        """Remove what is kept under the user's name alone: profile, names, notifications, devices, …"""

    async def forget_in(self, conversation_ids: Collection[str], user_id: str) -> None:
        """Remove what the user left in these conversations besides messages and membership: cursors and
        invitations. When others' messages were first read stays known, but no longer by whom."""
