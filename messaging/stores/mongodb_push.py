"""Where users' browsers can be reached, in MongoDB: one document for each endpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pymongo import ASCENDING, IndexModel

from messaging.domain.pushing import Subscription
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored

PUSH_INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "pushSubscriptions": (IndexModel([("userId", ASCENDING), ("createdAt", ASCENDING)]),),
}


class MongoPush(MongoBase):
    """`Subscriptions` (messaging.service.ports_push)."""

    @answering
    async def put_subscription(self, subscription: Subscription, *, at_most: int) -> bool:
        """See `Subscriptions.put_subscription`."""
        kept = self._database["pushSubscriptions"]
        before = await kept.find_one_and_replace(
            {"_id": subscription.endpoint}, _document(subscription), upsert=True
        )
        others: Document = {"userId": subscription.user_id, "_id": {"$ne": subscription.endpoint}}
        oldest = kept.find(others, {"_id": True}).sort([("createdAt", -1), ("_id", 1)]).skip(at_most - 1)
        if gone := [each["_id"] async for each in oldest]:
            await kept.delete_many({"_id": {"$in": gone}, "userId": subscription.user_id})
        return before is None or before["userId"] != subscription.user_id

    @answering
    async def subscriptions(self, user_ids: Collection[str]) -> Sequence[Subscription]:
        """See `Subscriptions.subscriptions`."""
        found = self._database["pushSubscriptions"].find({"userId": {"$in": list(user_ids)}})
        return [_subscription_from(each) async for each in found]

    @answering
    async def drop_subscription(self, endpoint: str, *, user_id: str | None = None) -> bool:
        """See `Subscriptions.drop_subscription`."""
        query = {"_id": endpoint} | ({} if user_id is None else {"userId": user_id})
        return (await self._database["pushSubscriptions"].delete_one(query)).deleted_count == 1


def _document(subscription: Subscription) -> Document:
    return {
        "userId": subscription.user_id,
        "p256dh": subscription.p256dh,
        "auth": subscription.auth,
        "createdAt": subscription.created_at,
    }


def _subscription_from(document: Stored) -> Subscription:
    return Subscription(
        user_id=document["userId"],
        endpoint=document["_id"],
        p256dh=document["p256dh"],
        auth=document["auth"],
        created_at=document["createdAt"],
    )
