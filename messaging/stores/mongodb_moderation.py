"""What users do about one another, in MongoDB: blocks and reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from messaging.domain.models import Hook
from messaging.domain.moderation import Block, Report, blocked_with_each
from messaging.service.ports_moderation import Positions
from messaging.stores.mongodb_base import answering
from messaging.stores.mongodb_documents import Document, Stored
from messaging.stores.mongodb_hooks import insert_hooks
from messaging.stores.mongodb_inbox import MongoInbox

MODERATION_INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "blocks": (
        IndexModel([("userId", ASCENDING), ("blockedId", ASCENDING)], unique=True),
        IndexModel([("blockedId", ASCENDING)]),
    ),
    "reports": (
        IndexModel([("messageId", ASCENDING), ("reporterId", ASCENDING)], unique=True),
        IndexModel([("reporterId", ASCENDING)]),
    ),
}


class MongoModeration(MongoInbox):
    """`Moderation` (messaging.service.ports_moderation)."""

    @answering
    async def block(
        self, user_id: str, blocked_id: str, *, at: datetime, seen: datetime | None = None
    ) -> Positions | None:
        """See `Blocks.block`."""
        both = {"userId": user_id, "blockedId": blocked_id}

        async def change(session: AsyncClientSession) -> Positions | None:
            if await self._database["blocks"].find_one(both, session=session) is not None:
                return None
            await self._database["blocks"].insert_one({**both, "at": at, "seen": seen}, session=session)
            return Positions(*await self._raise([user_id, blocked_id], session))

        return await self._in_transaction(change)

    @answering
    async def unblock(self, user_id: str, blocked_id: str) -> Positions | None:
        """See `Blocks.unblock`."""

        async def change(session: AsyncClientSession) -> Positions | None:
            both = {"userId": user_id, "blockedId": blocked_id}
            gone = await self._database["blocks"].delete_one(both, session=session)
            return (
                Positions(*await self._raise([user_id, blocked_id], session)) if gone.deleted_count else None
            )

        return await self._in_transaction(change)

    @answering
    async def find_block(self, user_id: str, blocked_id: str) -> Block | None:
        """See `Blocks.find_block`."""
        found = await self._database["blocks"].find_one({"userId": user_id, "blockedId": blocked_id})
        return _block_from(found) if found else None

    @answering
    async def blocks(self, user_id: str, *, limit: int, after: str | None = None) -> Sequence[Block]:
        """See `Blocks.blocks`."""
        query = {"userId": user_id, "blockedId": {"$gt": after or ""}}
        found = self._database["blocks"].find(query).sort("blockedId", 1).limit(limit)
        return [_block_from(each) async for each in found]

    @answering
    async def count_blocks(self, user_id: str) -> int:
        """See `Blocks.count_blocks`."""
        return await self._database["blocks"].count_documents({"userId": user_id})

    @answering
    async def blocked_between(self, one: str, other: str) -> bool:
        """See `Blocks.blocked_between`."""
        either = [{"userId": one, "blockedId": other}, {"userId": other, "blockedId": one}]
        return await self._database["blocks"].find_one({"$or": either}, {"_id": True}) is not None

    @answering
    async def blocked_with(self, user_id: str) -> frozenset[str]:
        """See `Blocks.blocked_with`."""
        found = self._database["blocks"].find({"$or": [{"userId": user_id}, {"blockedId": user_id}]})
        return frozenset([each[name] async for each in found for name in ("userId", "blockedId")]) - {user_id}

    @answering
    async def blocked_with_each(self, user_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """See `Blocks.blocked_with_each`."""
        wanted = {"$in": list(user_ids)}
        found = self._database["blocks"].find({"$or": [{"userId": wanted}, {"blockedId": wanted}]})
        return blocked_with_each(
            user_ids, [(each["userId"], each["blockedId"]) for each in await found.to_list()]
        )

    @answering
    async def add_report(self, report: Report, *, hooks: Sequence[Hook] = ()) -> Report:
        """See `Reports.add_report`."""

        async def work(session: AsyncClientSession) -> None:
            await self._database["reports"].insert_one(_report_document(report), session=session)
            await insert_hooks(self._database, hooks, session)

        try:
            async with self._client.start_session() as session:
                await session.with_transaction(work)
        except DuplicateKeyError:
            mine = {"messageId": report.message_id, "reporterId": report.reporter_id}
            there = await self._database["reports"].find_one(mine)
            if there is None:  # another report has this id
                raise
            return _report_from(there)
        return report

    @answering
    async def reports(self, *, limit: int, before: int | None = None) -> Sequence[Report]:
        """See `Reports.reports`."""
        query: Document = {} if before is None else {"_id": {"$lt": before}}
        found = self._database["reports"].find(query).sort("_id", -1).limit(limit)
        return [_report_from(each) async for each in found]


def _block_from(document: Stored) -> Block:
    at = document["at"]
    return Block(
        user_id=document["userId"], blocked_id=document["blockedId"], at=at, seen=document.get("seen", at)
    )


def _report_document(report: Report) -> Document:
    document: Document = {
        "_id": report.id,
        "messageId": report.message_id,
        "conversationId": report.conversation_id,
        "seq": report.seq,
        "senderId": report.sender_id,
        "content": report.content,
        "sentAt": report.sent_at,
        "reporterId": report.reporter_id,
        "at": report.at,
    }
    return document if report.reason is None else {**document, "reason": report.reason}


def _report_from(document: Stored) -> Report:
    return Report(
        id=document["_id"],
        message_id=document["messageId"],
        conversation_id=document["conversationId"],
        seq=document["seq"],
        sender_id=document["senderId"],
        content=document["content"],
        sent_at=document["sentAt"],
        reporter_id=document["reporterId"],
        reason=document.get("reason"),
        at=document["at"],
    )
