"""Finding messages by their words in MongoDB.

Each message has its `words`, as `domain.words` cut them, and an index of (conversation, word, id). One of the
words is looked up there, the others are compared. That is quick while one of them is rare. Where all are
frequent, the newest messages are looked through instead: what is frequent is among them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from pymongo.asynchronous.collection import AsyncCollection

from messaging.domain.models import Message
from messaging.domain.words import Query
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import UNSEEN, Document, message_from

INDEX: Final = [("conversationId", 1), ("words", 1), ("_id", -1)]
_RARE: Final = 5_000
"""What has fewer entries in the index is rare: they are all read, and sorted."""
_NEWEST: Final = 10_000
"""How many of the newest messages are looked through."""


class MongoFinding(MongoBase):
    """`Finding` (messaging.service.finding)."""

    @answering
    async def member_of(self, user_id: str) -> frozenset[str]:
        """See `Finding.member_of`."""
        found = self._database["members"].find({"userId": user_id}, {"conversationId": True})
        return frozenset([each["conversationId"] async for each in found])

    @answering
    async def search(
        self, query: Query, *, conversation_ids: Collection[str], before: int | None = None, limit: int
    ) -> Sequence[Message]:
        """See `Finding.search`."""
        messages = self._database["messages"]
        found = await found_messages(messages, query, conversation_ids, before, limit)
        return [message_from(each) for each in found]


async def found_messages(
    messages: AsyncCollection[Document],
    query: Query,
    conversation_ids: Collection[str],
    before: int | None,
    limit: int,
) -> Sequence[Document]:
    """The documents of what is found, by falling id."""
    wanted: list[Document] = [{"words": word} for word in query.words]
    wanted.append({"words": {"$regex": "^" + re.escape(query.prefix)}})
    where: Document = {"conversationId": {"$in": list(conversation_ids)}}
    if before is not None:
        where["_id"] = {"$lt": before}
    if not await _any_is_rare(messages, where, wanted):
        newest = await _among_newest(messages, where, wanted, limit)
        if len(newest) == limit:
            return newest
    found = messages.find({**where, "$and": wanted}, UNSEEN, hint=INDEX).sort("_id", -1)
    return await found.limit(limit).to_list()


async def _any_is_rare(
    messages: AsyncCollection[Document], where: Document, wanted: Sequence[Document]
) -> bool:
    counts = (messages.count_documents({**where, **one}, limit=_RARE, hint=INDEX) for one in wanted)
    return min(await asyncio.gather(*counts)) < _RARE


async def _among_newest(
    messages: AsyncCollection[Document], where: Document, wanted: Sequence[Document], limit: int
) -> Sequence[Document]:
    pipeline: list[dict[str, Any]] = [
        {"$match": {"_id": where["_id"]} if "_id" in where else {}},
        {"$sort": {"_id": -1}},
        {"$limit": _NEWEST},
        {"$match": {"conversationId": where["conversationId"], "$and": wanted}},
        {"$limit": limit},
        {"$project": UNSEEN},
    ]
    return await (await messages.aggregate(pipeline)).to_list()
