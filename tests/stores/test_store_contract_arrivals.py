"""What every store must know at once of users who come. See test_store_contract.py."""

from __future__ import annotations

import asyncio

from messaging.domain.arrivals import Arrival
from messaging.domain.ids import direct_id
from messaging.domain.models import Kind, Notification, Profile
from messaging.service.ports import Store
from messaging.stores.gathered import gathered
from tests.stores.build import T0, conversation, draft, later, mark, member, send

USERS = ("alice", "bob", "carol")


async def filled(store: Store) -> None:
    """Two who know each other, and one who is blocked by one of them."""
    for user_id in USERS:
        await store.put_user(Profile(id=user_id, name=user_id.title()))
    await store.set_last_seen("bob", later(5))
    await store.save(conversation("c", version=2, member_count=2), put=[member("alice"), member("bob")])
    where = direct_id("bob", "carol")
    both = [member("bob", where), member("carol", where)]
    await store.save(conversation(where, kind=Kind.DIRECT, member_count=2), put=both)
    await send(store, draft("one"), draft("two", sender_id="bob"))
    await store.mark_read(mark("bob", 1), own_read=0, keep=True)
    await store.add_notifications([("bob", Notification(id="n", type="hello", created_at=T0))])
    assert await store.block("carol", "alice", at=T0) is not None


async def expected(store: Store, user_id: str) -> Arrival:
    """The same, asked one by one."""
    memberships = sorted(await store.memberships(user_id), key=lambda each: each.conversation.id)
    return Arrival(
        user=(await store.users([user_id])).get(user_id),
        position=(await store.inbox_positions([user_id]))[user_id],
        blocked=await store.blocked_with(user_id),
        memberships=tuple(memberships),
    )


async def test_an_arrival_is_what_is_known_of_the_user_one_by_one(store: Store) -> None:
    await filled(store)
    arrivals = await store.arrivals(USERS)
    assert set(arrivals) == set(USERS)
    for user_id, arrival in arrivals.items():
        known = await expected(store, user_id)
        assert set(arrival.memberships) == set(known.memberships)
        assert (arrival.user, arrival.position, arrival.blocked) == (
            known.user,
            known.position,
            known.blocked,
        )
    assert [arrivals[user_id].position for user_id in USERS] != [0, 0, 0]
    assert arrivals["alice"].blocked == {"carol"}
    assert {m.conversation.id for m in arrivals["bob"].memberships} == {"c", direct_id("bob", "carol")}


async def test_of_a_stranger_nothing_is_known(store: Store) -> None:
    assert dict(await store.arrivals(["nobody"])) == {"nobody": Arrival()}
    assert dict(await store.arrivals([])) == {}


async def test_arrivals_that_are_asked_for_together_are_each_ones_own(store: Store) -> None:
    await filled(store)
    together = gathered(store)
    alone = await asyncio.gather(*(together.arrivals([user_id]) for user_id in (*USERS, "nobody")))
    whole = await store.arrivals((*USERS, "nobody"))
    assert {user_id: each for one in alone for user_id, each in one.items()} == dict(whole)
