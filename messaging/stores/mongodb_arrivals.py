"""All that has to be known of users who come, in MongoDB: one command, while they are members of nothing.

Whoever is a member of something is asked for with four more, however many they are. The parts of the
pipeline come in this order: whatever is read later is as new as what was read before, or newer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from messaging.domain.arrivals import Arrival
from messaging.domain.models import Membership, User
from messaging.domain.moderation import blocked_with_each
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored, user_from


class MongoArrivals(MongoBase):
    """`Arrivals` (messaging.service.ports_arrivals)."""

    @answering
    async def arrivals(self, user_ids: Collection[str]) -> Mapping[str, Arrival]:
        """See `Arrivals.arrivals`."""
        if not user_ids:
            return {}
        users: dict[str, User] = {}
        positions: dict[str, int] = {}
        pairs: list[tuple[str, str]] = []
        members: list[Stored] = []
        for each in await self._aggregated(self._database["users"], _pipeline(user_ids)):
            if "profile" in each:
                users[each["_id"]] = user_from(each)
            elif "position" in each:
                positions[each["_id"]] = each["position"]
            elif "blockedId" in each:
                pairs.append((each["userId"], each["blockedId"]))
            else:
                members.append(each)
        blocked = blocked_with_each(user_ids, pairs)
        memberships = await self._whole(members, {"userId": {"$in": list(user_ids)}})
        return {
            user_id: Arrival(
                user=users.get(user_id),
                position=positions.get(user_id, 0),
                blocked=blocked.get(user_id, frozenset()),
                memberships=tuple(memberships.get(user_id, ())),
            )
            for user_id in user_ids
        }

    async def _whole(self, members: Sequence[Stored], query: Document) -> Mapping[str, Sequence[Membership]]:
        """The memberships by user of which these documents, that `query` finds, are a part."""
        raise NotImplementedError


def _pipeline(user_ids: Collection[str]) -> list[Document]:
    wanted = {"$in": list(user_ids)}
    positions = [{"$match": {"_id": wanted}}, {"$project": {"position": True}}]
    blocks: list[Document] = [
        {"$match": {"$or": [{"userId": wanted}, {"blockedId": wanted}]}},
        {"$project": {"_id": False, "userId": True, "blockedId": True}},
    ]
    members = [{"$match": {"userId": wanted}}]
    return [
        {"$match": {"_id": wanted}},
        {"$unionWith": {"coll": "inboxes", "pipeline": positions}},
        {"$unionWith": {"coll": "blocks", "pipeline": blocks}},
        {"$unionWith": {"coll": "members", "pipeline": members}},
    ]
