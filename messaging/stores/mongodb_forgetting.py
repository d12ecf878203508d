"""What is kept of people in MongoDB, and forgetting them.

A collection that holds anything under a user's id has a row in PARTS, or its reason in KEPT, and what is not
told in an export has its reason in UNTOLD, as in `sqlite_forgetting`: tests see to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from messaging.domain.forgetting import NOBODY, UPLOADS, Erasure, Record, RecordPage, RecordPlace, record_page
from messaging.domain.models import ChangeKind, Message
from messaging.domain.values import dataclass
from messaging.stores.mongodb_append import own_counts
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import UNSEEN, Document, Stored, message_from

_DUPLICATE_KEY: Final = 11000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Documents of `collection` that belong to the user in `field`: how an export calls them, and their id.

    `by_place`: they are removed conversation by conversation. `order` is what a user's documents are told by.
    `secret` fields are told nobody.
    """

    collection: str
    field: str = "userId"
    shown: str | None = None
    by_place: bool = False
    order: str = "_id"
    id_as: str | None = None
    secret: frozenset[str] = frozenset()


PARTS: Final = (
    Part(collection="users", field="_id", shown="profile", id_as="id"),
    Part(collection="inboxes", field="_id"),
    Part(collection="notifications", shown="notifications", order="position"),
    Part(collection="blocks", shown="blocks", order="blockedId"),
    Part(collection="blocks", field="blockedId"),
    Part(collection="positions", shown="positions"),
    Part(
        collection="pushSubscriptions",
        shown="pushSubscriptions",
        id_as="endpoint",
        secret=frozenset({"p256dh", "auth"}),
    ),
    Part(collection="recoveries", shown="recoveries", secret=frozenset({"owner", "sid"})),
    Part(collection="cursors", shown="cursors", by_place=True),
    Part(collection="deliveries", shown="deliveries", by_place=True),
    Part(collection="invitations", shown="invitations", by_place=True),
    Part(collection="invitations", field="by", shown="invited", by_place=True),
)
"""What is removed."""
KEPT: Final[Mapping[tuple[str, str], str]] = {
    ("members", "userId"): "ended one by one, as when somebody leaves",
    ("messages", "senderId"): "kept as a removed user's, or taken back one by one",
    ("messages", "reactions.userIds"): "taken back one by one",
    ("readMarks", "readerId"): "somebody had read it, but nobody knows who",
    ("changes", "userId"): "what became of messages",
    ("disconnections", "_id"): "whose tokens are refused",
    ("reports", "senderId"): "what was reported is for the host application to decide",
    ("reports", "reporterId"): "it was reported, but nobody knows by whom",
    ("uploadRecords", "userId"): "kept while messages have them, else removed one by one",
    ("erasures", "_id"): "gone when it is done",
}
"""What is not, by collection and field, and why."""
_TOLD_AND_KEPT: Final = (
    Part(collection="members", shown="memberships"),
    Part(collection="uploadRecords", shown=UPLOADS, id_as="id"),
    Part(collection="reports", field="reporterId", shown="reports", id_as="id"),
    Part(collection="disconnections", field="_id", shown="disconnections", id_as="userId"),
)
TOLD: Final = tuple(part for part in (*PARTS, *_TOLD_AND_KEPT) if part.shown is not None)
"""What an export tells, one kind after the other; besides it there are messages and reactions."""
UNTOLD: Final[Mapping[tuple[str, str], str]] = {
    ("inboxes", "_id"): "a count of changes",
    ("blocks", "blockedId"): "a matter of who blocked them",
    ("messages", "senderId"): "told as messages",
    ("messages", "reactions.userIds"): "told as reactions",
    ("readMarks", "readerId"): "how far they have read is told as cursors",
    ("changes", "userId"): "told as messages, their edits, and reactions, as they are now",
    ("reports", "senderId"): "a matter of who reported them",
    ("erasures", "_id"): "of somebody who is no longer there",
}
"""What an export does not tell, and why."""
_FOR_US: Final = frozenset({"_id", "searchable", "profile"})
_MESSAGE_IDS: Final = frozenset({"id", "messageId"})


class MongoForgetting(MongoBase):
    """`Forgetting` (messaging.service.ports_forgetting)."""

    @answering
    async def records(self, user_id: str, *, after: RecordPlace | None = None, limit: int) -> RecordPage:
        """See `Forgetting.records`."""
        place = after or RecordPlace(kind=0)
        part = TOLD[place.kind]
        query: Document = {part.field: user_id}
        if place.key:
            query = {"$and": [query, {part.order: {"$gt": place.key[0]}}]}
        found = await self._database[part.collection].find(query).sort(part.order, 1).limit(limit).to_list()
        records = [Record(kind=part.shown or "", values=_told(part, each)) for each in found]
        last = (found[-1][part.order],) if found else ()
        return record_page(records, place, last, full=len(found) == limit, kinds=len(TOLD))

    @answering
    async def reacted_to(self, user_id: str, *, after: int = 0, limit: int) -> Sequence[int]:
        """See `Forgetting.reacted_to`."""
        query = {"userId": user_id, "kind": ChangeKind.REACTED.value, "messageId": {"$gt": after}}
        found = self._database["changes"].find(query, {"messageId": True}).sort("messageId", 1).limit(limit)
        return list(dict.fromkeys([each["messageId"] async for each in found]))

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
    async def places_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[str]:
        """See `Forgetting.places_of`."""
        query = {"userId": user_id, "conversationId": {"$gt": after}}
        found = self._database["members"].find(query, {"conversationId": True}).sort("conversationId", 1)
        return [each["conversationId"] async for each in found.limit(limit)]

    @answering
    async def begin_erasure(self, user_id: str, *, messages: bool) -> None:
        """See `Forgetting.begin_erasure`."""
        change = {"$set": {"place": ""}, "$max": {"messages": messages}, "$inc": {"round": 1}}
        await self._database["erasures"].update_one({"_id": user_id}, change, upsert=True)

    @answering
    async def erasure(self, user_id: str) -> Erasure | None:
        """See `Forgetting.erasure`."""
        found = await self._database["erasures"].find_one({"_id": user_id})
        return _erasure_from(found) if found else None

    @answering
    async def erasures(self, *, limit: int) -> Sequence[Erasure]:
        """See `Forgetting.erasures`."""
        return [
            _erasure_from(each)
            async for each in self._database["erasures"].find().sort("_id", 1).limit(limit)
        ]

    @answering
    async def note_erasure(self, erasure: Erasure, *, place: str) -> bool:
        """See `Forgetting.note_erasure`."""
        noted = await self._database["erasures"].update_one(_same(erasure), {"$set": {"place": place}})
        return noted.matched_count == 1

    @answering
    async def end_erasure(self, erasure: Erasure) -> bool:
        """See `Forgetting.end_erasure`."""
        return (await self._database["erasures"].delete_one(_same(erasure))).deleted_count == 1

    @answering
    async def forget_user(self, user_id: str) -> None:
        """See `Forgetting.forget_user`."""
        for part in PARTS:
            if not part.by_place:
                await self._database[part.collection].delete_many({part.field: user_id})
        await self._hide("reports", "reporterId", {"reporterId": user_id})

    @answering
    async def forget_in(self, conversation_ids: Collection[str], user_id: str) -> None:
        """See `Forgetting.forget_in`."""
        here = {"conversationId": {"$in": list(conversation_ids)}}
        for part in PARTS:
            if part.by_place:
                await self._database[part.collection].delete_many({**here, part.field: user_id})
        await self._hide("readMarks", "readerId", {**here, "readerId": user_id})

    async def _hide(self, collection: str, field: str, mine: Document) -> None:
        """That it was stays known, but not who. Where that is known of nobody already, once is enough."""
        documents = self._database[collection]
        changes = [
            UpdateOne({"_id": each["_id"]}, {"$set": {field: NOBODY}})
            async for each in documents.find(mine, {"_id": True})
        ]
        try:
            if changes:
                await documents.bulk_write(changes, ordered=False)
        except BulkWriteError as error:
            if any(each["code"] != _DUPLICATE_KEY for each in (error.details or {}).get("writeErrors", [{}])):
                raise
            await documents.delete_many(mine)


def _erasure_from(document: Stored) -> Erasure:
    return Erasure(
        user_id=document["_id"],
        messages=document["messages"],
        place=document["place"],
        round=document["round"],
    )


def _same(erasure: Erasure) -> Document:
    return {"_id": erasure.user_id, "round": erasure.round}


def _told(part: Part, document: Stored) -> Mapping[str, Any]:
    """What a document says, without what is there for ourselves."""
    own = {} if part.id_as is None else {part.id_as: document["_id"]}
    known = {key: value for key, value in document.items() if key not in _FOR_US | part.secret}
    values = {**own, **document.get("profile", {}), **known}
    return {key: _json(key, value) for key, value in values.items() if value is not None}


def _json(name: str, value: Any) -> Any:
    return str(value) if name in _MESSAGE_IDS else value
