"""What concerns one user alone, in MongoDB: notifications, archived, muted and marked conversations.

Each write raises the user's position in the same transaction, by their document in `inboxes`. Two that touch
one user thus come one after the other, so that whoever can read a position can read all that it counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from messaging.domain.models import Kept, Notification
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored

INBOX_INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "inboxes": (),
    "notifications": (
        IndexModel([("userId", ASCENDING), ("position", ASCENDING)], unique=True),
        IndexModel([("userId", ASCENDING), ("id", ASCENDING)], unique=True),
        IndexModel(
            [("userId", ASCENDING), ("unread", ASCENDING), ("position", ASCENDING)],
            partialFilterExpression={"unread": True},
        ),
        IndexModel([("createdAt", ASCENDING)], expireAfterSeconds=90 * 24 * 3600),
    ),
}
_AT_ONCE: Final = 500

T = TypeVar("T")
Note = tuple[str, Notification]


class MongoInbox(MongoBase):
    """`Inbox` (messaging.service.ports_inbox)."""

    @answering
    async def inbox_positions(self, user_ids: Collection[str]) -> Mapping[str, int]:
        """See `Inboxes.inbox_positions`."""
        positions = dict.fromkeys(user_ids, 0)
        found = self._database["inboxes"].find({"_id": {"$in": list(positions)}})
        return positions | {each["_id"]: each["position"] async for each in found}

    @answering
    async def add_notifications(self, notes: Sequence[tuple[str, Notification]]) -> Sequence[Kept]:
        """See `Inboxes.add_notifications`."""
        kept: list[Kept] = []
        for start in range(0, len(notes), _AT_ONCE):
            kept += await self._add(notes[start : start + _AT_ONCE])
        return kept

    async def _add(self, notes: Sequence[Note]) -> list[Kept]:
        async def change(session: AsyncClientSession) -> list[Kept]:
            there = await self._there(notes, session)
            new = [note for note in dict.fromkeys(notes) if _key(note) not in there]
            positions = await self._raise([user_id for user_id, _ in new], session) if new else []
            kept = [
                (user, replace(note, position=at)) for (user, note), at in zip(new, positions, strict=True)
            ]
            if kept:
                documents = [_document(*note) for note in kept]
                await self._database["notifications"].insert_many(documents, session=session)
            fresh = {_key(note): Kept(notification=note[1]) for note in kept}
            return [there.get(_key(note)) or fresh[_key(note)] for note in notes]

        return await self._in_transaction(change)

    async def _there(self, notes: Sequence[Note], session: AsyncClientSession) -> dict[tuple[str, str], Kept]:
        """Those of these that have been kept before, and maybe some more."""
        query = {
            "userId": {"$in": [user_id for user_id, _ in notes]},
            "id": {"$in": list({note.id for _, note in notes})},
        }
        found = self._database["notifications"].find(query, session=session)
        return {
            (each["userId"], each["id"]): Kept(notification=_notification_from(each), repeated=True)
            async for each in found
        }

    async def _raise(self, user_ids: Sequence[str], session: AsyncClientSession) -> list[int]:
        """Count one more for each; a user who stands there twice is counted twice."""
        inboxes = self._database["inboxes"]
        ones = [UpdateOne({"_id": user_id}, {"$inc": {"position": 1}}, upsert=True) for user_id in user_ids]
        await inboxes.bulk_write(ones, session=session)
        found = inboxes.find({"_id": {"$in": list(set(user_ids))}}, session=session)
        ends = {each["_id"]: each["position"] async for each in found}
        positions = []
        for user_id in reversed(user_ids):
            positions.append(ends[user_id])
            ends[user_id] -= 1
        return positions[::-1]

    async def _in_transaction(self, change: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        while True:
            try:
                async with self._client.start_session() as session:
                    return await session.with_transaction(change)
            except DuplicateKeyError:
                pass  # two made the same document at the same moment; now it is there

    @answering
    async def notifications(
        self, user_id: str, *, limit: int, before: int | None = None, unread: bool = False
    ) -> Sequence[Notification]:
        """See `Inboxes.notifications`."""
        query: Document = {"userId": user_id}
        if before is not None:
            query["position"] = {"$lt": before}
        if unread:
            query["unread"] = True
        found = self._database["notifications"].find(query).sort("position", -1).limit(limit)
        return [_notification_from(each) async for each in found]

    @answering
    async def notifications_after(self, user_id: str, position: int, *, limit: int) -> Sequence[Notification]:
        """See `Inboxes.notifications_after`."""
        query = {"userId": user_id, "position": {"$gt": position}}
        found = self._database["notifications"].find(query).sort("position", 1).limit(limit)
        return [_notification_from(each) async for each in found]

    @answering
    async def unread_notifications(self, user_id: str) -> int:
        """See `Inboxes.unread_notifications`."""
        return await self._database["notifications"].count_documents({"userId": user_id, "unread": True})

    @answering
    async def read_notifications(self, user_id: str, ids: Collection[str] | None, *, at: datetime) -> None:
        """See `Inboxes.read_notifications`."""
        query: Document = {"userId": user_id, "unread": True}
        if ids is not None:
            query["id"] = {"$in": list(ids)}
        marked = {"$set": {"readAt": at}, "$unset": {"unread": ""}}
        await self._database["notifications"].update_many(query, marked)

    @answering
    async def archive(self, conversation_id: str, user_id: str, archived_at: int | None) -> int | None:
        """See `Places.archive`."""
        return await self._set_place(conversation_id, user_id, "archivedAt", archived_at)

    @answering
    async def mute(self, conversation_id: str, user_id: str, muted: bool) -> int | None:
        """See `Places.mute`."""
        return await self._set_place(conversation_id, user_id, "muted", muted)

    @answering
    async def mark_unread(self, conversation_id: str, user_id: str, unread_at: int | None) -> int | None:
        """See `Places.mark_unread`."""
        return await self._set_place(conversation_id, user_id, "unreadAt", unread_at)

    async def _set_place(
        self, conversation_id: str, user_id: str, field: str, value: int | None
    ) -> int | None:
        member = {"conversationId": conversation_id, "userId": user_id}
        update = {"$unset": {field: ""}} if value is None else {"$set": {field: value}}

        async def change(session: AsyncClientSession) -> int | None:
            changed = await self._database["members"].update_one(member, update, session=session)
            return (await self._raise([user_id], session))[0] if changed.matched_count else None

        return await self._in_transaction(change)


def _key(note: Note) -> tuple[str, str]:
    return note[0], note[1].id


def _document(user_id: str, note: Notification) -> Document:
    document: Document = {
        "userId": user_id,
        "position": note.position,
        "id": note.id,
        "type": note.type,
        "data": note.data,  # as text: a host's keys may be what MongoDB takes for its own
        "createdAt": note.created_at,
        "unread": True,
    }
    if note.title is not None:
        document["title"] = note.title
    if note.body is not None:
        document["body"] = note.body
    return document


def _notification_from(document: Stored) -> Notification:
    return Notification(
        id=document["id"],
        type=document["type"],
        title=document.get("title"),
        body=document.get("body"),
        data=document["data"],
        created_at=document["createdAt"],
        position=document["position"],
        read_at=document.get("readAt"),
    )
