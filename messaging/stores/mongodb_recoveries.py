"""What clients come back to, in MongoDB: one document per pid, collected once it has expired."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from messaging.domain.models import ReadMark, Recovery
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored, read_mark_from


class MongoRecoveries(MongoBase):
    """The part of `Store` (messaging.service.ports) about recoveries, and what they look for. `_id` is
    the pid."""

    @answering
    async def add_recoveries(self, recoveries: Sequence[Recovery]) -> None:
        """See `Store.add_recoveries`."""
        new = [
            {"q": {"_id": each.pid}, "u": {"$setOnInsert": _document(each)}, "upsert": True}
            for each in recoveries
        ]
        if new:
            await self._updated(self._database["recoveries"], new)

    @answering
    async def keep_recoveries(self, recoveries: Sequence[Recovery]) -> Collection[str]:
        """See `Store.keep_recoveries`."""
        if not recoveries:
            return []
        changes = [{"q": {"_id": r.pid, "owner": r.owner}, "u": {"$set": _changing(r)}} for r in recoveries]
        if (await self._updated(self._database["recoveries"], changes)).matched == len(changes):
            return []
        theirs = {"$or": [{"_id": each.pid, "owner": each.owner} for each in recoveries]}
        kept = {each["_id"] async for each in self._database["recoveries"].find(theirs, {"_id": True})}
        return [each.pid for each in recoveries if each.pid not in kept]

    @answering
    async def take_recovery(self, pid: str, *, user_id: str, owner: str, at: datetime) -> Recovery | None:
        """See `Store.take_recovery`."""
        found = await self._database["recoveries"].find_one_and_update(
            {"_id": pid, "userId": user_id, "expiresAt": {"$gt": at}},
            {"$set": {"owner": owner}},
            return_document=ReturnDocument.AFTER,
        )
        return _recovery_from(found) if found else None

    @answering
    async def end_recoveries(self, owners: Mapping[str, str]) -> None:
        """See `Store.end_recoveries`."""
        if owners:
            ended = [{"_id": pid, "owner": owner} for pid, owner in owners.items()]
            await self._deleted(self._database["recoveries"], ended)

    @answering
    async def marks_among(
        self, conversation_ids: Collection[str], at: datetime, *, limit: int
    ) -> Sequence[ReadMark]:
        """See `Store.marks_among`."""
        among = {"$in": list(conversation_ids)}
        found = self._database["readMarks"].find({"conversationId": among, "at": {"$gt": at}})
        page = found.sort([("at", 1), ("seq", 1), ("readerId", 1)]).limit(limit)
        return [read_mark_from(each) async for each in page]


def _document(recovery: Recovery) -> Document:
    return {
        "owner": recovery.owner,
        "userId": recovery.user_id,
        "dialect": recovery.dialect,
        "sid": recovery.sid,
        **_changing(recovery),
    }


def _changing(recovery: Recovery) -> Document:
    joins: list[Any] = [{"conversationId": where, "after": seq} for where, seq in recovery.joins]
    return {"joins": joins, "expiresAt": recovery.expires_at}


def _recovery_from(document: Stored) -> Recovery:
    return Recovery(
        pid=document["_id"],
        owner=document["owner"],
        user_id=document["userId"],
        dialect=document["dialect"],
        sid=document["sid"],
        joins=tuple((each["conversationId"], each["after"]) for each in document["joins"]),
        expires_at=document["expiresAt"],
    )
