"""Finding messages by their words in MongoDB.

Each message has its `words`, as `domain.words` cut them, and an index of (word, id, conversation). A word's
newest message is the last that was written beside it, so a send touches few pages, and those are in memory.
One of the words is looked up there, the others are compared. That is quick while one of them is rare. Where
all are frequent, the messages of a small conversation, or the newest of all, are looked through instead.
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
from messaging.stores.mongodb_documents import BY_WORD, UNSEEN, Document, message_from

Keys = list[tuple[str, int]]
BY_CONVERSATION: Final[Keys] = [("conversationId", 1), ("seq", 1)]
_RARE: Final = 2_000
"""What has fewer entries in the index is rare: they are all read, and sorted."""
_FEW: Final = 2_000
"""How many messages a small conversation, or all of a user's together, has at the most."""
_PARTS: Final = (0.04, 0.2)
"""Which parts of the past are looked through before all of it, where a word is only begun."""
_NEWEST: Final = 5_000
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
    where: Document = {"conversationId": {"$in": list(conversation_ids)}}
    if before is not None:
        where["_id"] = {"$lt": before}
    wanted: list[Document] = [{"words": word} for word in query.words]
    wanted.append({"words": {"$regex": "^" + re.escape(query.prefix)}})
    if not await _any_is_rare(messages, wanted):
        if await _are_few(messages, where):
            return await _matching(messages, where, wanted, limit, BY_CONVERSATION)
        if not query.words:  # a prefix stands for many words, and their messages would have to be sorted
            newest = await _among_newest(messages, where, wanted, limit)
            if len(newest) == limit:
                return newest
            return await _backwards(messages, where, wanted, limit)
    return await _matching(messages, where, wanted, limit, BY_WORD)


async def _any_is_rare(messages: AsyncCollection[Document], wanted: Sequence[Document]) -> bool:
    counts = (messages.count_documents(one, limit=_RARE, hint=BY_WORD) for one in wanted)
    return min(await asyncio.gather(*counts)) < _RARE


async def _are_few(messages: AsyncCollection[Document], where: Document) -> bool:
    there = {"conversationId": where["conversationId"]}
    return await messages.count_documents(there, limit=_FEW, hint=BY_CONVERSATION) < _FEW


async def _matching(
    messages: AsyncCollection[Document], where: Document, wanted: Sequence[Document], limit: int, by: Keys
) -> Sequence[Document]:
    found = messages.find({**where, "$and": wanted}, UNSEEN, hint=by)
    return await found.sort("_id", -1).limit(limit).to_list()


async def _backwards(
    messages: AsyncCollection[Document], where: Document, wanted: Sequence[Document], limit: int
) -> Sequence[Document]:
    """Look through ever more of the past: of each word in the index only what is newer is read."""
    oldest, newest = [await _outermost(messages, way) for way in (1, -1)]
    for part in _PARTS:
        ids = {**where.get("_id", {}), "$gt": newest - int((newest - oldest) * part)}
        found = await _matching(messages, {**where, "_id": ids}, wanted, limit, BY_WORD)
        if len(found) == limit:
            return found
    return await _matching(messages, where, wanted, limit, BY_WORD)


async def _outermost(messages: AsyncCollection[Document], way: int) -> int:
    found = await messages.find_one({}, {"_id": True}, sort=[("_id", way)])
    return int(found["_id"]) if found else 0


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
