"""What is kept of people in MongoDB, and forgetting them.

A collection that holds anything under a user's id has a row in PARTS; or it is named in KEPT of
`sqlite_forgetting`, which says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from messaging.domain.forgetting import Erasure
from messaging.domain.models import Message
from messaging.domain.values import dataclass
from messaging.stores.mongodb_append import own_counts
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import UNSEEN, Document, Stored, message_from

_NOBODY: Final = ""
_DUPLICATE_KEY: Final = 11000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Documents of `collection` that belong to the user in `field`: how an export calls them."""

    collection: str
    field: str = "userId"
    shown: str | None = None
    by_place: bool = False
    """Whether they are removed conversation by conversation."""


PARTS: Final = (
    Part(collection="users", field="_id", shown="profile"),
    Part(collection="inboxes", field="_id"),
    Part(collection="notifications", shown="notifications"),
    Part(collection="blocks", shown="blocks"),
    Part(collection="blocks", field="blockedId"),
    Part(collection="positions", shown="positions"),
    Part(collection="pushSubscriptions"),  # each is a secret
    Part(collection="recoveries"),  # each has a secret
    Part(collection="cursors", shown="cursors", by_place=True),
    Part(collection="deliveries", shown="deliveries", by_place=True),
    Part(collection="invitations", shown="invitations", by_place=True),
    Part(collection="invitations", field="by", shown="invited", by_place=True),
)
"""What is removed."""
_SHOWN_AND_KEPT: Final = (
    Part(collection="members", shown="memberships"),
    Part(collection="uploadRecords", shown="uploads"),
)


class MongoForgetting(MongoBase):
    """`Forgetting` (messaging.service.ports_forgetting)."""

    @answering
    async def records(self, user_id: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """See `Forgetting.records`."""
        return {
            part.shown: [
                _record(each) async for each in self._database[part.collection].find({part.field: user_id})
            ]
            for part in (*PARTS, *_SHOWN_AND_KEPT)
            if part.shown is not None
        }

    @answering
    async def conversation_ids(self, *, after: str = "", limit: int) -> Sequence[str]:
        """See `Forgetting.conversation_ids`."""
        found = self._database["conversations"].find({"_id": {"$gt": after}}, {"_id": True})
        return [each["_id"] async for each in found.sort("_id", 1).limit(limit)]

    @answering
    async def written_in(self, conversation_ids: Collection[str], user_id: str) -> frozenset[str]:
        """See `Forgetting.written_in`."""
        pipeline = own_counts(list(conversation_ids), [user_id], "conversationId")
        return frozenset([each["_id"] async for each in await self._database["messages"].aggregate(pipeline)])

    @answering
    async def sent(
        self, conversation_id: str, user_id: str, *, after: int = 0, limit: int
    ) -> Sequence[Message]:
        """See `Forgetting.sent`."""
        query = {"conversationId": conversation_id, "senderId": user_id, "seq": {"$gt": after}}
        found = self._database["messages"].find(query, UNSEEN).sort("seq", 1).limit(limit)
        return [message_from(each) async for each in found]

    @answering
    async def begin_erasure(self, user_id: str, *, messages: bool) -> None:
        """See `Forgetting.begin_erasure`."""
        change = {"$set": {"place": ""}, "$max": {"messages": messages}}
        await self._database["erasures"].update_one({"_id": user_id}, change, upsert=True)

    @answering
    async def erasures(self, *, limit: int) -> Sequence[Erasure]:
        """See `Forgetting.erasures`."""
        found = self._database["erasures"].find().limit(limit)
        return [
            Erasure(user_id=each["_id"], messages=each["messages"], place=each["place"])
            async for each in found
        ]

    @answering
    async def note_erasure(self, user_id: str, *, place: str) -> None:
        """See `Forgetting.note_erasure`."""
        await self._database["erasures"].update_one({"_id": user_id}, {"$set": {"place": place}})

    @answering
    async def end_erasure(self, user_id: str) -> None:
        """See `Forgetting.end_erasure`."""
        await self._database["erasures"].delete_one({"_id": user_id})

    @answering
    async def forget_user(self, user_id: str) -> None:
        """See `Forgetting.forget_user`."""
        for part in PARTS:
            if not part.by_place:
                await self._database[part.collection].delete_many({part.field: user_id})

    @answering
    async def forget_in(self, conversation_ids: Collection[str], user_id: str) -> None:
        """See `Forgetting.forget_in`."""
        here = {"conversationId": {"$in": list(conversation_ids)}}
        for part in PARTS:
            if part.by_place:
                await self._database[part.collection].delete_many({**here, part.field: user_id})
        await self._hide_reader({**here, "readerId": user_id})

    async def _hide_reader(self, mine: Document) -> None:
        marks = self._database["readMarks"]
        changes = [
            UpdateOne({"_id": each["_id"]}, {"$set": {"readerId": _NOBODY}})
            async for each in marks.find(mine, {"_id": True})
        ]
        try:
            if changes:
                await marks.bulk_write(changes, ordered=False)
        except BulkWriteError as error:  # nobody may have read up to there already
            if any(each["code"] != _DUPLICATE_KEY for each in (error.details or {}).get("writeErrors", [{}])):
                raise
            await marks.delete_many(mine)


def _record(document: Stored) -> Mapping[str, Any]:
    """What a document says; its own id only where that is somebody's."""
    known = {key: value for key, value in document.items() if key not in ("_id", "searchable")}
    return {"id": document["_id"], **known} if isinstance(document["_id"], str) else known
