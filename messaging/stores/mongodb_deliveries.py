"""What MongoDB keeps of how far messages have reached users. See `mongodb.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from messaging.domain.models import Receipts, Written
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document

_Cursors = Mapping[str, Mapping[str, int]]
"""Seqs by conversation and user."""


class MongoDeliveries(MongoBase):
    """Deliveries and receipts: a part of MongoStore."""

    @answering
    async def mark_delivered(self, reached: _Cursors, *, at: datetime) -> _Cursors:
        """See `Store.mark_delivered`. Three commands, however many conversations there are."""
        existing = await self._existing([each for each, cursors in reached.items() if cursors])
        reached = {each: cursors for each, cursors in reached.items() if each in existing}
        known = await self._seqs_among("deliveries", reached)
        raised = {
            each: {user_id: seq for user_id, seq in cursors.items() if seq > known.get((each, user_id), 0)}
            for each, cursors in reached.items()
        }
        changes = [
            {
                "q": {"conversationId": each, "userId": user_id},
                "u": {"$max": {"seq": seq, "at": at}},
                "upsert": True,
            }
            for each, cursors in raised.items()
            for user_id, seq in cursors.items()
        ]
        if changes:
            await self._updated(self._database["deliveries"], changes)
        return {
            each: {user_id: known.get((each, user_id), 0) for user_id in cursors}
            for each, cursors in raised.items()
            if cursors
        }

    @answering
    async def authors(self, stretches: Mapping[str, tuple[int, int]]) -> Mapping[str, Sequence[Written]]:
        """See `Store.authors`."""
        if not stretches:
            return {}
        wanted = [
            {"conversationId": each, "seq": {"$gt": after, "$lte": up_to}}
            for each, (after, up_to) in stretches.items()
        ]
        shown = {"conversationId": True, "seq": True, "senderId": True}
        found: dict[str, list[Written]] = {}
        for document in await self._found(self._database["messages"], {"$or": wanted}, shown=shown):
            line = Written(id=document["_id"], seq=document["seq"], sender_id=document["senderId"])
            found.setdefault(document["conversationId"], []).append(line)
        return {each: sorted(lines, key=lambda line: line.seq) for each, lines in found.items()}

    @answering
    async def receipts(
        self, conversation_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[Receipts]:
        """See `Store.receipts`."""
        if limit <= 0:
            return []
        query: Document = {"conversationId": conversation_id, "userId": {"$gt": after or ""}}
        found = await self._found(
            self._database["members"], query, shown={"userId": True}, sort={"userId": 1}, limit=limit
        )
        user_ids = [each["userId"] for each in found]
        delivered = await self._seqs_among("deliveries", {conversation_id: user_ids})
        read = await self._seqs_among("cursors", {conversation_id: user_ids})
        places = [(conversation_id, user_id) for user_id in user_ids]
        return [_receipts(place[1], delivered.get(place, 0), read.get(place, 0)) for place in places]

    async def _seqs_among(
        self, collection: str, places: Mapping[str, Collection[str]]
    ) -> Mapping[tuple[str, str], int]:
        """What a collection of cursors has for users in conversations."""
        if not places:
            return {}
        wanted = [{"conversationId": each, "userId": {"$in": list(users)}} for each, users in places.items()]
        shown = {"_id": False, "conversationId": True, "userId": True, "seq": True}
        found = await self._found(self._database[collection], {"$or": wanted}, shown=shown)
        return {(each["conversationId"], each["userId"]): each["seq"] for each in found}


def _receipts(user_id: str, delivered: int, read: int) -> Receipts:
    return Receipts(user_id=user_id, delivered=max(delivered, read), read=read)
