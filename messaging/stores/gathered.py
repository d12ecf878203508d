"""A store that is asked together what many ask at the same time.

When many sign in or go at once, each of them asks for a user, keeps a user, asks what they are a member of.
A question to a database costs its driver far more than one more key in it: so what is asked in one turn of
the loop, or while the same kind of question is under way, goes into the next one.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from messaging.domain.arrivals import Arrival
from messaging.domain.errors import Unavailable
from messaging.domain.models import Conversation, Membership, Profile, Role, User
from messaging.domain.pages import End
from messaging.service.ports import Store

MAX_TOGETHER = 500
"""How many questions go into one."""
TOLD_AT_ONCE = 50
"""How many hear their answers in one turn of the loop: all of them go on in the next."""
PACE_SECONDS = 0.005
"""How long after one question the next one is asked, at the latest, where there are many."""
_MAX_LOOKS = 50
"""The same where each may take a look of its own."""

Place = tuple[str, str]
"""A conversation and a user."""

K = TypeVar("K")
V = TypeVar("V")


def gathered(store: Store) -> Store:
    """The same store, which gathers what concerns single users."""
    return cast(Store, _Gathered(store))


class _Gathered:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._users: _Together[tuple[str, ...], Mapping[str, User]] = _Together(self._ask_users)
        self._inboxes: _Together[tuple[str, ...], Mapping[str, int]] = _Together(self._ask_inboxes)
        self._blocks: _Together[str, frozenset[str]] = _Together(self._ask_blocks)
        self._conversations: _Together[str, Conversation | None] = _Together(self._ask_conversations)
        self._roles: _Together[tuple[Place, ...], Mapping[Place, Role]] = _Together(self._ask_roles)
        self._profiles: _Together[Profile, bool] = _Together(self._put_users)
        self._seen: _Together[tuple[str, datetime], None] = _Together(self._set_last_seen)
        self._memberships: _Together[str, Sequence[Membership]] = _Together(self._ask_memberships, _MAX_LOOKS)
        self._arrivals: _Together[tuple[str, ...], Mapping[str, Arrival]] = _Together(
            self._ask_arrivals, _MAX_LOOKS
        )
        self._ends: _Together[Mapping[str, int | None], Mapping[str, End]] = _Together(
            self._ask_ends, _MAX_LOOKS
        )

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._store, operation)

    async def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        """As Store.users."""
        if len(user_ids) > MAX_TOGETHER:
            return await self._store.users(user_ids)
        return await self._users.ask(tuple(user_ids))

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """As Store.conversation."""
        return await self._conversations.ask(conversation_id)

    async def roles(self, places: Collection[Place]) -> Mapping[Place, Role]:
        """As Store.roles."""
        if len(places) > 1:
            return await self._store.roles(places)
        return await self._roles.ask(tuple(places))

    async def put_user(self, profile: Profile) -> bool:
        """As Store.put_user."""
        return await self._profiles.ask(profile)

    async def set_last_seen(self, user_id: str, at: datetime) -> None:
        """As Store.set_last_seen."""
        await self._seen.ask((user_id, at))

    async def inbox_positions(self, user_ids: Collection[str]) -> Mapping[str, int]:
        """As Store.inbox_positions."""
        if len(user_ids) > MAX_TOGETHER:
            return await self._store.inbox_positions(user_ids)
        return await self._inboxes.ask(tuple(user_ids))

    async def blocked_with(self, user_id: str) -> frozenset[str]:
        """As Store.blocked_with."""
        return await self._blocks.ask(user_id)

    async def memberships(self, user_id: str) -> Sequence[Membership]:
        """As Store.memberships."""
        return await self._memberships.ask(user_id)

    async def arrivals(self, user_ids: Collection[str]) -> Mapping[str, Arrival]:
        """As Store.arrivals."""
        if len(user_ids) > _MAX_LOOKS:
            return await self._store.arrivals(user_ids)
        return await self._arrivals.ask(tuple(user_ids))

    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        """As Store.ends."""
        if len(after) > _MAX_LOOKS:
            return await self._store.ends(after)
        return await self._ends.ask(after)

    async def _ask_users(self, wanted: Sequence[tuple[str, ...]]) -> Sequence[Mapping[str, User]]:
        users = await self._store.users({user_id for user_ids in wanted for user_id in user_ids})
        return [{user_id: users[user_id] for user_id in user_ids if user_id in users} for user_ids in wanted]

    async def _ask_conversations(self, wanted: Sequence[str]) -> Sequence[Conversation | None]:
        found = await self._store.conversations_among(set(wanted))
        return [found.get(conversation_id) for conversation_id in wanted]

    async def _ask_roles(self, wanted: Sequence[tuple[Place, ...]]) -> Sequence[Mapping[Place, Role]]:
        found = await self._store.roles({place for places in wanted for place in places})
        return [{place: found[place] for place in places if place in found} for places in wanted]

    async def _ask_inboxes(self, wanted: Sequence[tuple[str, ...]]) -> Sequence[Mapping[str, int]]:
        found = await self._store.inbox_positions({user_id for user_ids in wanted for user_id in user_ids})
        return [{user_id: found[user_id] for user_id in user_ids} for user_ids in wanted]

    async def _ask_blocks(self, user_ids: Sequence[str]) -> Sequence[frozenset[str]]:
        found = await self._store.blocked_with_each(set(user_ids))
        return [found.get(user_id, frozenset()) for user_id in user_ids]

    async def _put_users(self, profiles: Sequence[Profile]) -> Sequence[bool]:
        return await self._store.put_users(profiles)

    async def _set_last_seen(self, seen: Sequence[tuple[str, datetime]]) -> Sequence[None]:
        await self._store.set_all_last_seen(dict(sorted(seen, key=lambda each: each[1])))
        return [None] * len(seen)

    async def _ask_memberships(self, user_ids: Sequence[str]) -> Sequence[Sequence[Membership]]:
        if len(user_ids) == 1:
            return [await self._store.memberships(user_ids[0])]
        found = await self._store.memberships_of(set(user_ids))
        return [found.get(user_id, ()) for user_id in user_ids]

    async def _ask_arrivals(self, wanted: Sequence[tuple[str, ...]]) -> Sequence[Mapping[str, Arrival]]:
        found = await self._store.arrivals({user_id for user_ids in wanted for user_id in user_ids})
        return [{user_id: found[user_id] for user_id in user_ids} for user_ids in wanted]

    async def _ask_ends(self, wanted: Sequence[Mapping[str, int | None]]) -> Sequence[Mapping[str, End]]:
        after: dict[str, int | None] = {}
        for where, seq in (each for asked in wanted for each in asked.items()):
            known = after.get(where)
            after[where] = known if seq is None else seq if known is None else min(seq, known)
        found = await self._store.ends(after)
        return [
            {where: _past(found[where], seq) for where, seq in asked.items() if where in found}
            for asked in wanted
        ]


def _past(end: End, seq: int | None) -> End:
    """The same with no other marks than those that were asked for."""
    marks = tuple(mark for mark in end.marks if seq is not None and mark.seq > seq)
    return end if len(marks) == len(end.marks) else replace(end, marks=marks)


class _Together(Generic[K, V]):
    """Asks one kind of question, about many keys at once, one after the other.

    Nobody who asks alone waits for others. But where some have come while a question was under way, the next
    waits as long again as that one took, though not beyond `PACE_SECONDS`: more come until then, and each
    question costs.
    """

    def __init__(
        self, ask_all: Callable[[Sequence[K]], Awaitable[Sequence[V]]], at_most: int = MAX_TOGETHER
    ) -> None:
        self._ask_all = ask_all
        self._at_most = at_most
        self._waiting: list[tuple[K, Future[V]]] = []
        self._asking: asyncio.Task[None] | None = None

    def ask(self, key: K) -> Future[V]:
        """The answer; a question that was begun is carried through even if nobody waits any more."""
        future: Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._run(), name="gathered questions")
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                began = loop.time()
                await self._ask_next()
                took = loop.time() - began
                if self._waiting and took < PACE_SECONDS:
                    await asyncio.sleep(min(took, PACE_SECONDS - took))
        finally:
            self._asking = None

    async def _ask_next(self) -> None:
        batch, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
        try:
            answers = await self._ask_all([key for key, _ in batch])
        except Exception as error:  # noqa: BLE001  those who wait are told
            if isinstance(error, Unavailable):  # who came meanwhile has waited as long as one may take
                batch, self._waiting = batch + self._waiting, []
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for number, ((_, future), answer) in enumerate(zip(batch, answers, strict=True), start=1):
            if not future.done():
                future.set_result(answer)
            if number % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
