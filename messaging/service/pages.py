"""The last messages of conversations, as they were read a moment ago: shown again while they are still so.

Whoever asks is never shown less than what was acknowledged before, by whatever process: the store is asked
each time where the conversation ends, and that says whether anything has happened to what is known of it. A
message raises `last_seq`, an edit, deletion or reaction `last_rev`, a removal for good `removed_seq`; a
conversation that was deleted and made again under the same id is of another time; and who has read what is
asked anew. That is one short question, together with those of all others who ask at the same time
(`stores/gathered.py`), instead of reading the messages, and making of them what clients are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from messaging.domain.models import Message, MessageView, Profile, ReadMark
from messaging.domain.pages import End, Views
from messaging.service.people import People
from messaging.service.ports import Store
from messaging.service.recent import Recent

KEPT_SECONDS = 300.0
MAX_KEPT = 200
"""How many pages are kept."""
MAX_CHARACTERS = 50_000
"""Pages that say more are not kept."""


class Page(NamedTuple):
    """The last messages of a conversation that ends as `end` says; later ones may be among them."""

    end: End | None
    """None: there is no such conversation."""
    views: Views


class _Known(NamedTuple):
    """A page that was read, and for what it was read."""

    end: End
    """Where the conversation ended before the messages were read."""
    messages: tuple[Message, ...]
    marks: tuple[ReadMark, ...]
    people: Mapping[str, Profile]
    """Who wrote the messages."""
    views: Views

    @property
    def before(self) -> int:
        """The seq below the first message."""
        return self.messages[0].seq - 1

    def is_at(self, end: End) -> bool:
        """Whether nothing has happened to the messages since; others may have come."""
        known = self.end
        return (
            known.last_rev == end.last_rev
            and known.conversation.removed_seq == end.conversation.removed_seq
            and known.conversation.created_at == end.conversation.created_at
        )


class Pages:
    """What was read of the ends of conversations, by conversation and number of messages."""

    def __init__(self, store: Store, people: People) -> None:
        self._store = store
        self._people = people
        self._known: Recent[tuple[str, int], _Known] = Recent(MAX_KEPT, KEPT_SECONDS)

    async def end(self, conversation_id: str) -> End | None:
        """Where a conversation ends now; None where there is none."""
        return (await self._store.ends({conversation_id: None})).get(conversation_id)

    async def last(self, conversation_id: str, limit: int) -> Page:
        """The last `limit` messages of a conversation as they are now."""
        known = self._known.get((conversation_id, limit))
        after = known.before if known is not None else None
        end = (await self._store.ends({conversation_id: after})).get(conversation_id)
        if end is None or end.last_seq == 0 or limit <= 0:
            return Page(end, Views())
        if known is not None and known.is_at(end):
            messages = await self._continued(known, end, limit)
            marks = end.marks
        else:
            messages = await self._read(end, limit)
            marks = await self._marks(messages)
        return Page(end, await self._shown(end, limit, messages, marks, known))

    async def _continued(self, known: _Known, end: End, limit: int) -> tuple[Message, ...]:
        """What is known, and what came since."""
        last = known.messages[-1].seq
        if last >= end.last_seq:
            return known.messages
        if end.last_seq - last < limit:
            new = await self._store.history(end.conversation.id, after=last, limit=limit)
            if new and new[0].seq == last + 1:  # else what is known has been removed just now
                return (*known.messages, *new)[-limit:]
        return await self._read(end, limit)

    async def _read(self, end: End, limit: int) -> tuple[Message, ...]:
        """What the store has, without what is about to be removed: nothing will say when it is."""
        removed = end.conversation.removed_seq
        found = await self._store.history(end.conversation.id, limit=limit)
        return tuple(message for message in found if message.seq > removed)

    async def _marks(self, messages: Sequence[Message]) -> tuple[ReadMark, ...]:
        if not messages:
            return ()
        first, last = messages[0], messages[-1]
        found = await self._store.read_marks(first.conversation_id, after=first.seq - 1, up_to=last.seq)
        return tuple(found)

    async def _shown(
        self,
        end: End,
        limit: int,
        messages: tuple[Message, ...],
        marks: tuple[ReadMark, ...],
        known: _Known | None,
    ) -> Views:
        same = known is not None and messages is known.messages
        senders: Collection[str] = known.people if known and same else {m.sender_id for m in messages}
        people = await self._people.find(senders)
        if known is not None and same and marks == known.marks and _are(known.people, people):
            return known.views
        views = Views(viewed(messages, marks, people))
        place = (end.conversation.id, limit)
        if messages and sum(len(message.content) for message in messages) <= MAX_CHARACTERS:
            senders_only = {user_id: people[user_id] for user_id in senders}
            self._known.put(place, _Known(end, messages, marks, senders_only, views))
        else:
            self._known.forget(place)
        return views


def _are(known: Mapping[str, Profile], people: Mapping[str, Profile]) -> bool:
    """Whether those who are known are called the same by now."""
    return all(people[user_id] is profile or people[user_id] == profile for user_id, profile in known.items())


def first_read(message: Message, marks: Collection[ReadMark]) -> datetime | None:
    """When anybody but its sender had first read a message."""
    if not marks:
        return None
    return min(
        (m.at for m in marks if m.after < message.seq <= m.seq and m.reader_id != message.sender_id),
        default=None,
    )


def viewed(
    messages: Sequence[Message], marks: Collection[ReadMark], people: Mapping[str, Profile]
) -> tuple[MessageView, ...]:
    """Messages as readers see them, with who wrote them and who has read them."""
    return tuple(
        MessageView(message=m, sender=people[m.sender_id], read_at=first_read(m, marks)) for m in messages
    )
