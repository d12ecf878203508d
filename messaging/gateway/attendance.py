"""Attendance: tells the other processes, and the contacts, when this process's users come and go.

A user is here from their first connection to the grace period after their last. What should be so and what
the other processes know is brought together by one task per user and place, so that coming and going in
quick succession can never be told in the wrong order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from messaging.domain.arrivals import Arrival
from messaging.domain.errors import ClientError
from messaging.domain.events import Event, RoomEntered, RoomLeft
from messaging.domain.models import Conversation, Profile
from messaging.gateway.follower import Follower
from messaging.gateway.hub import Hub
from messaging.gateway.paced import Paced
from messaging.gateway.tasks import Tasks
from messaging.service import presence
from messaging.service.context import Context
from messaging.service.ports import ONLINE

_RETRY_SECONDS = 1.0
_TOGETHER_SECONDS = 0.1
"""Those whose grace ends within so long of each other are gone at the same time."""

logger = logging.getLogger(__name__)


class Attendance:
    """Which users of this process are where, and whether that has been told."""

    def __init__(
        self,
        ctx: Context,
        hub: Hub,
        tasks: Tasks,
        publish: Callable[[Iterable[Event]], None],
        grace_seconds: float,
    ) -> None:
        self._ctx = ctx
        self._hub = hub
        self._tasks = tasks
        self._publish = publish
        self._grace_seconds = grace_seconds
        self._after_grace = Paced(grace_seconds, together=_TOGETHER_SECONDS)
        self._wanted: Counter[tuple[str, str]] = Counter()
        """How many sessions (or followers) of a user are in a place."""
        self._rooms: dict[tuple[str, str], tuple[Conversation, Profile]] = {}
        """What is told of those who are, or were until just now, in a group or room."""
        self._told: set[tuple[str, str]] = set()
        self._telling: set[tuple[str, str]] = set()

    # --- being online at all ---

    def arrived(self, follower: Follower) -> None:
        """A user has a connection here."""
        if follower.farewell is not None:
            follower.farewell.cancel()
            follower.farewell = None
        self._want(ONLINE, follower.user_id, 1)

    def departed(self, follower: Follower) -> None:
        """A connection of the user is gone; when it was the last one, wait whether they come back."""
        if follower.sessions or follower.farewell is not None:
            return
        follower.farewell = self._after_grace.add(partial(self._gone, follower))

    def lost(self, place: str, user_id: str) -> None:
        """A process died and left a user behind that nobody else has."""

        def tell() -> Awaitable[None]:
            return self._tell_offline(user_id) if place == ONLINE else self._tell_lost(place, user_id)

        self._tasks.start(self._insist(tell))

    def _gone(self, follower: Follower) -> None:
        follower.farewell = None
        if not follower.sessions:
            self._hub.unfollow(follower)
            self._want(ONLINE, follower.user_id, 0)

    # --- groups and rooms ---

    def entered(self, conversation: Conversation, user: Profile) -> None:
        """One more session of the user watches a group or room."""
        self._rooms[conversation.id, user.id] = (conversation, user)
        self._want(conversation.id, user.id, self._wanted[conversation.id, user.id] + 1)

    def left(self, conversation: Conversation, user: Profile, *, lost: bool) -> None:
        """One session fewer watches it. `lost`: its connection is gone, and may come back."""
        if lost and self._grace_seconds > 0:
            self._after_grace.add(partial(self._leave, conversation.id, user.id))
        else:
            self._leave(conversation.id, user.id)

    def _leave(self, conversation_id: str, user_id: str) -> None:
        self._want(conversation_id, user_id, self._wanted[conversation_id, user_id] - 1)

    # --- bringing together what should be so and what has been told ---

    def _want(self, place: str, user_id: str, count: int) -> None:
        key = (place, user_id)
        if count > 0:
            self._wanted[key] = count
        else:
            self._wanted.pop(key, None)
        if key not in self._telling and (key in self._wanted) != (key in self._told):
            self._telling.add(key)
            self._tasks.start(self._reconcile(key))

    async def _reconcile(self, key: tuple[str, str]) -> None:
        try:
            while (key in self._wanted) != (key in self._told):
                await self._take_step(key)
        finally:
            self._telling.discard(key)
            if key not in self._wanted:
                self._rooms.pop(key, None)

    async def _take_step(self, key: tuple[str, str]) -> None:
        place, user_id = key
        entering = key in self._wanted
        if entering:
            self._told.add(key)
            crossed = await self._ctx.presence.enter(place, user_id)
        else:
            self._told.discard(key)
            crossed = await self._ctx.presence.leave(place, user_id)
        arrival = self._arrival(user_id) if place == ONLINE else None
        if crossed:
            await self._insist(lambda: self._tell(key, arrival, entered=entering))

    def _arrival(self, user_id: str) -> Arrival | None:
        """What was read of a user who has just come."""
        follower = self._hub.followers.get(user_id)
        if follower is None:
            return None
        arrival, follower.arrival = follower.arrival, None
        return arrival

    async def _insist(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Tell those whom it concerns, as soon as the storage says who they are."""
        while True:
            try:
                return await tell()
            except ClientError as error:
                logger.warning("presence cannot be told yet: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _tell(self, key: tuple[str, str], arrival: Arrival | None, *, entered: bool) -> None:
        place, user_id = key
        if place == ONLINE and entered:
            self._publish(await presence.came_online(self._ctx, user_id, arrival))
        elif place == ONLINE:
            await self._tell_offline(user_id)
        elif key in self._rooms:
            conversation, user = self._rooms[key]
            await self._tell_room(conversation, user, entered=entered)

    async def _tell_room(self, conversation: Conversation, user: Profile, *, entered: bool) -> None:
        if await presence.is_visible(self._ctx, user.id):
            kind = RoomEntered if entered else RoomLeft
            self._publish([kind(conversation=conversation, user=user, at=self._ctx.clock())])

    async def _tell_lost(self, conversation_id: str, user_id: str) -> None:
        conversation = await self._ctx.seats.conversation(conversation_id)
        people = await self._ctx.people.find([user_id])
        if conversation is not None:
            await self._tell_room(conversation, people[user_id], entered=False)

    async def _tell_offline(self, user_id: str) -> None:
        self._publish(await presence.went_offline(self._ctx, user_id))
