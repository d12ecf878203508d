"""Removing old messages for good, in MongoDB. No transaction: each part may be repeated, and is in an order
in which nobody sees a gap."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Final

from messaging.domain.models import Conversation
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_conversations import raised_cursor
from messaging.stores.mongodb_documents import Document, conversation_from

_MEMBERS_AT_ONCE: Final = 1_000


class MongoRetention(MongoBase):
    """`Retention` (messaging.service.ports_retention)."""

    @answering
    async def conversations(self, *, after: str = "", limit: int) -> Sequence[Conversation]:
        """See `Retention.conversations`."""
        found = self._database["conversations"].find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [conversation_from(each) async for each in found]

    @answering
    async def remove_before(self, conversation_id: str, before: datetime, *, limit: int) -> int:
        """See `Retention.remove_before`."""
        found = await self._old(conversation_id, before, limit + 1)
        if not found:
            return 0
        old = found[:limit]
        up_to = old[-1]["seq"]
        await self._database["conversations"].update_one(
            {"_id": conversation_id}, {"$max": {"removedSeq": up_to}}
        )
        await self._begin_counting_anew(conversation_id, up_to, {each["senderId"] for each in old})
        if len(found) <= limit:  # before they are gone: what breaks off here is done again
            await self._count_as_read(conversation_id, up_to)
        await self._remove(conversation_id, up_to, [each["_id"] for each in old])
        return len(old)

    async def _old(self, conversation_id: str, before: datetime, limit: int) -> list[Document]:
        messages, here = self._database["messages"], {"conversationId": conversation_id}
        newest = await messages.find_one(here, {"seq": True}, sort=[("seq", -1)])
        shown = {"seq": True, "senderId": True, "createdAt": True}
        oldest = await messages.find(here, shown).sort("seq", 1).limit(limit).to_list()
        last = newest["seq"] if newest else 0
        return list(takewhile(lambda each: each["createdAt"] < before and each["seq"] < last, oldest))

    async def _begin_counting_anew(self, conversation_id: str, up_to: int, senders: Collection[str]) -> None:
        """Of whom nothing is left, the next message counts as their first: so they have read none of their
        own."""
        left = await self._first_counts(conversation_id, senders, up_to)
        gone = {"conversationId": conversation_id, "userId": {"$in": [s for s in senders if s not in left]}}
        await self._database["cursors"].update_many(gone, {"$set": {"ownRead": 0}})

    async def _remove(self, conversation_id: str, up_to: int, ids: Sequence[int]) -> None:
        below = {"conversationId": conversation_id, "seq": {"$lte": up_to}}
        await self._database["changes"].delete_many({"messageId": {"$in": list(ids)}})
        await self._database["readMarks"].delete_many(below)
        await self._database["messages"].delete_many(below)

    async def _count_as_read(self, conversation_id: str, up_to: int) -> None:
        """What nobody can read any more is unread to nobody."""
        after = ""
        while page := await self._some_members(conversation_id, after):
            first = await self._first_counts(conversation_id, page, up_to)
            changes = [
                raised_cursor(conversation_id, user_id, seq=up_to, own_read=first.get(user_id, 1) - 1)
                for user_id in page
            ]
            await self._database["cursors"].bulk_write(changes, ordered=False)
            after = page[-1]

    async def _some_members(self, conversation_id: str, after: str) -> list[str]:
        query = {"conversationId": conversation_id, "userId": {"$gt": after}}
        found = self._database["members"].find(query, {"userId": True}).sort("userId", 1)
        return [each["userId"] async for each in found.limit(_MEMBERS_AT_ONCE)]

    async def _first_counts(
        self, conversation_id: str, senders: Collection[str], after: int
    ) -> Mapping[str, int]:
        """The `senderSeq` of each one's first message past `after`."""
        pipeline: list[Document] = [
            {
                "$match": {
                    "conversationId": conversation_id,
                    "senderId": {"$in": list(senders)},
                    "seq": {"$gt": after},
                }
            },
            {"$sort": {"conversationId": 1, "senderId": 1, "seq": 1}},
            {"$group": {"_id": "$senderId", "first": {"$first": "$senderSeq"}}},
        ]
        return {e["_id"]: e["first"] async for e in await self._database["messages"].aggregate(pipeline)}
