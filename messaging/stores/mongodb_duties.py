"""Running the service, in MongoDB: who was sent away, leases, and what webhooks still have to tell.

A message that the webhook is still to be told of carries the mark itself (`hooked`, its conversation's id),
so that a send goes on writing one document; the index holds those with the mark only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pymongo import InsertOne, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from messaging.domain.errors import Unavailable
from messaging.domain.models import Disconnection, Hook
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored
from messaging.stores.mongodb_hooks import hook_document, hook_from, message_hook_from

_ATTEMPTS: Final = 50
_PAUSE_SECONDS: Final = 0.02
_DUPLICATE_KEY: Final = 11000


class MongoDuties(MongoBase):
    """`Duties` (messaging.service.duties)."""

    @answering
    async def about(self) -> str:
        """See `Duties.about`."""
        build = await self._client.admin.command("buildInfo")
        hello = await self._client.admin.command("hello")
        hosts = hello.get("hosts", [])
        nodes = f"replica set {hello['setName']} of {len(hosts)}" if "setName" in hello else "sharded"
        concern = self._client.write_concern.document
        durable = f"writes by {concern.get('w')}" + (", journalled" if concern.get("j") else "")
        return f"MongoDB {build['version']}, {nodes}, {durable}"

    @answering
    async def disconnect(self, user_id: str, *, revoked_before: datetime | None) -> Disconnection:
        """See `Duties.disconnect`. Whoever stores n has read n - 1, as with the places of messages."""
        for _ in range(_ATTEMPTS):
            last = await self._database["disconnections"].find_one({}, sort=[("number", -1)])
            change: Document = {"$set": {"number": (last["number"] if last else 0) + 1}}
            if revoked_before is not None:
                change["$max"] = {"revokedBefore": revoked_before}
            try:
                found = await self._database["disconnections"].find_one_and_update(
                    {"_id": user_id}, change, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:  # another process was first
                found = None
            if found is not None:
                return _disconnection_from(found)
            await asyncio.sleep(_PAUSE_SECONDS)
        raise Unavailable

    @answering
    async def disconnections(self, *, after: int, limit: int) -> Sequence[Disconnection]:
        """See `Duties.disconnections`."""
        found = self._database["disconnections"].find({"number": {"$gt": after}})
        return [_disconnection_from(each) async for each in found.sort("number", 1).limit(limit)]

    @answering
    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        """See `Duties.lease`. By the clock of the primary."""
        own: Document = {"$eq": ["$holder", {"$literal": holder}]}
        free = {"$or": [own, {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}]}
        taken = {
            "holder": {"$cond": [free, {"$literal": holder}, "$holder"]},
            "until": {"$cond": [free, {"$add": ["$$NOW", round(seconds * 1000)]}, "$until"]},
        }
        try:
            lease = await self._database["leases"].find_one_and_update(
                {"_id": name}, [{"$set": taken}], upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # another process made it just now
            return False
        return lease is not None and lease["holder"] == holder

    @answering
    async def keep_hooks(self, hooks: Sequence[Hook]) -> None:
        """See `Duties.keep_hooks`."""
        if not hooks:
            return
        new = [InsertOne(hook_document(each)) for each in hooks]
        try:
            await self._database["hooks"].bulk_write(new, ordered=False)
        except BulkWriteError as error:
            errors = (error.details or {}).get("writeErrors", [])
            if not errors or any(each["code"] != _DUPLICATE_KEY for each in errors):
                raise

    @answering
    async def hook_lanes(self, *, after: str, limit: int) -> Sequence[str]:
        """See `Duties.hook_lanes`. Two steps of an index for each."""
        lanes: list[str] = []
        while len(lanes) < limit:
            lane = await self._next_lane(lanes[-1] if lanes else after)
            if lane is None:
                break
            lanes.append(lane)
        return lanes

    async def _next_lane(self, after: str) -> str | None:
        past = {"$gt": after}
        message = await self._database["messages"].find_one(
            {"hooked": past}, {"hooked": True}, sort=[("hooked", 1), ("seq", 1)]
        )
        other = await self._database["hooks"].find_one({"lane": past}, {"lane": True}, sort=[("lane", 1)])
        lanes = [message["hooked"]] if message else []
        lanes += [other["lane"]] if other else []
        return min(lanes, key=str.encode, default=None)

    @answering
    async def hooks(self, lane: str, *, limit: int) -> Sequence[Hook]:
        """See `Duties.hooks`."""
        messages = self._database["messages"].find({"hooked": lane}).sort("seq", 1).limit(limit)
        others = self._database["hooks"].find({"lane": lane}).sort("_id", 1).limit(limit)
        found = [message_hook_from(each) async for each in messages]
        return found + [hook_from(each) async for each in others]

    @answering
    async def drop_hooks(self, hooks: Sequence[Hook]) -> None:
        """See `Duties.drop_hooks`."""
        messages = [each.id for each in hooks if each.message is not None]
        others = [each.id for each in hooks if each.message is None]
        if messages:
            unmarked = {"$unset": {"hooked": "", "hookTrace": ""}}
            await self._database["messages"].update_many({"_id": {"$in": messages}}, unmarked)
        if others:
            await self._database["hooks"].delete_many({"_id": {"$in": others}})


def _disconnection_from(document: Stored) -> Disconnection:
    return Disconnection(
        user_id=document["_id"],
        number=document["number"],
        revoked_before=document.get("revokedBefore"),
    )
