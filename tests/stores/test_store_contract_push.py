"""Every store keeps where browsers can be reached as messaging.service.ports_push says."""

from __future__ import annotations

from typing import Any

from messaging.domain.pushing import Subscription
from messaging.service.ports import Store
from tests.stores.build import Database, later, over_lasting


def subscription(number: int = 1, user_id: str = "alice", **changes: Any) -> Subscription:
    given = {
        "endpoint": f"https://push.example.com/{number}",
        "p256dh": "p",
        "auth": "a",
        "created_at": later(number),
        **changes,
    }
    return Subscription(user_id=user_id, **given)


async def endpoints(store: Store, *user_ids: str) -> list[str]:
    return sorted(each.endpoint[-1] for each in await store.subscriptions(user_ids))


async def test_a_subscription_is_kept_for_its_user(store: Store) -> None:
    assert await store.put_subscription(subscription(), at_most=9)
    assert not await store.put_subscription(subscription(auth="new"), at_most=9)
    assert list(await store.subscriptions(["alice", "bob"])) == [subscription(auth="new")]
    assert list(await store.subscriptions(["bob"])) == []
    assert list(await store.subscriptions([])) == []


async def test_an_endpoint_belongs_to_the_last_user_who_said_so(store: Store) -> None:
    await store.put_subscription(subscription(), at_most=9)
    assert await store.put_subscription(subscription(user_id="bob"), at_most=9)
    assert await endpoints(store, "alice") == []
    assert await endpoints(store, "bob") == ["1"]


async def test_of_too_many_the_oldest_go(store: Store) -> None:
    for number in (3, 1, 2, 4, 5):
        await store.put_subscription(subscription(number), at_most=3)
    await store.put_subscription(subscription(6, "bob"), at_most=3)
    assert await endpoints(store, "alice") == ["3", "4", "5"]
    await store.put_subscription(subscription(7, created_at=later(0)), at_most=3)
    assert await endpoints(store, "alice") == ["4", "5", "7"]
    assert await endpoints(store, "alice", "bob") == ["4", "5", "6", "7"]


async def test_a_subscription_is_dropped_by_its_user_or_by_whoever_may(store: Store) -> None:
    for number in (1, 2):
        await store.put_subscription(subscription(number), at_most=9)
    gone = subscription(1).endpoint
    assert not await store.drop_subscription(gone, user_id="bob")
    assert await store.drop_subscription(gone, user_id="alice")
    assert not await store.drop_subscription(gone)
    assert await store.drop_subscription(subscription(2).endpoint)
    assert await endpoints(store, "alice") == []


@over_lasting
async def test_they_last(database: Database, store: Store) -> None:
    await store.put_subscription(subscription(), at_most=9)
    await store.close()
    again = database.make()
    await again.open()
    assert list(await again.subscriptions(["alice"])) == [subscription()]
    await again.close()
