"""Seats: who may do what where, as of a moment ago.

A send must not wait for a look into the store. So what somebody used to write is looked up anew before it is
too old, that of all who write together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from itertools import islice
from typing import NamedTuple

from messaging.domain.errors import ClientError
from messaging.domain.events import (
    Announcement,
    ConversationChanged,
    ConversationDeleted,
    MemberAdded,
    MemberRemoved,
)
from messaging.domain.models import Conversation, Role
from messaging.service.ports import Store
from messaging.service.recent import Recent

SEAT_SECONDS = 1.0
"""How long a membership may be taken for granted when no event says that it changed."""
REFRESH_SECONDS = 0.5
"""After how long those who go on writing are looked up anew."""
_CONVERSATIONS, _ROLES = 20_000, 50_000
_TOGETHER = 500
"""How many are looked up in one call."""

Place = tuple[str, str]
"""A conversation and a user."""


class Seat(NamedTuple):
    """Somebody's place in a conversation: what it is, if it is there, and their role in it, if any."""

    conversation: Conversation | None
    role: Role | None


class Seats:
    """Conversations and roles as of at most a second ago; at once where an event tells of a change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._conversations: Recent[str, Conversation] = Recent(_CONVERSATIONS, SEAT_SECONDS)
        self._roles: Recent[Place, tuple[Role | None]] = Recent(_ROLES, SEAT_SECONDS)
        self._used: dict[Place, None] = {}
        """Who wrote where, on what is known, since the last look."""
        self._refresh_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, conversation_id: str, user_id: str) -> Seat:
        """The conversation and the user's role there."""
        conversation = await self.conversation(conversation_id)
        if conversation is None:
            return Seat(None, None)
        place = conversation_id, user_id
        known = self._roles.get(place)
        if known is None:
            age, since = self._roles.age, time.monotonic()
            known = ((await self._store.roles([place])).get(place),)
            if age == self._roles.age:
                self._roles.put(place, known, since)
        return Seat(conversation, known[0])

    def at_hand(self, conversation_id: str, user_id: str) -> Seat | None:
        """The same, where both were looked up a moment ago; they are taken to be needed again soon."""
        place, now = (conversation_id, user_id), time.monotonic()
        conversation = self._conversations.get(conversation_id, now)
        known = self._roles.get(place, now)
        if conversation is None or known is None:
            return None
        self._use(place, now)
        return Seat(conversation, known[0])

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, if there is one. That there is none is never remembered."""
        known = self._conversations.get(conversation_id)
        if known is None:
            age, since = self._conversations.age, time.monotonic()
            known = await self._store.conversation(conversation_id)
            if known is not None and age == self._conversations.age:
                self._conversations.put(conversation_id, known, since)
        return known

    async def conversations(self, conversation_ids: Collection[str]) -> Mapping[str, Conversation]:
        """Those of them that there are, by their ids; asked for in one call where they are not known."""
        known = {each: self._conversations.get(each) for each in conversation_ids}
        unknown = [each for each, conversation in known.items() if conversation is None]
        if unknown:
            age, since = self._conversations.age, time.monotonic()
            found = await self._store.conversations_among(unknown)
            known |= found
            if age == self._conversations.age:
                for conversation in found.values():
                    self._conversations.put(conversation.id, conversation, since)
        return {each: conversation for each, conversation in known.items() if conversation is not None}

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

    def _use(self, place: Place, now: float) -> None:
        if not self._used:
            self._refresh_at = now + REFRESH_SECONDS
        self._used[place] = None
        if now >= self._refresh_at and self._refreshing is None:
            used, self._used = self._used, {}
            self._refreshing = asyncio.create_task(self._refresh(used), name="seats")

    async def _refresh(self, used: Collection[Place]) -> None:
        """Look up anew what is used. What cannot be looked up now grows old, and is asked for then."""
        places = iter(used)
        try:
            while chunk := list(islice(places, _TOGETHER)):
                await self._look_up(chunk)
        except ClientError:
            pass
        finally:
            self._refreshing = None

    async def _look_up(self, places: Collection[Place]) -> None:
        ages, since = (self._conversations.age, self._roles.age), time.monotonic()
        conversations: Mapping[str, Conversation]
        conversations = await self._store.conversations_among(
            {conversation_id for conversation_id, _ in places}
        )
        roles = await self._store.roles(places)
        if ages != (self._conversations.age, self._roles.age):
            return
        for conversation in conversations.values():
            self._conversations.put(conversation.id, conversation, since)
        for place in places:
            if place[0] in conversations:
                self._roles.put(place, (roles.get(place),), since)
