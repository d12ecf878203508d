"""How conversations are saved and deleted in MongoDB, which takes several documents each.

Saving is one transaction. Deleting is not, because a conversation may have more messages than a transaction
can hold: its document goes first, so that it is gone for readers at once; the rest follows in steps that can
be repeated, under a mark in `deletions` which keeps a new conversation from getting the id (and the old
messages) in between. A mark whose deleter died is taken over by the next who needs the id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId
from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from messaging.domain.errors import Unavailable
from messaging.domain.models import Conversation, Hook, Member
from messaging.service.carrying import carried_through
from messaging.stores.mongodb_append import TRUST_SECONDS
from messaging.stores.mongodb_documents import Document, conversation_fields
from messaging.stores.mongodb_hooks import insert_hooks

_LINGER_SECONDS: Final = TRUST_SECONDS + 0.5
"""After this long no process writes to the old conversation any more; half a second for writes under way."""
_ABANDONED_SECONDS: Final = 60.0
_MESSAGES_PER_STEP: Final = 5_000
_WRITTEN_UNASKED: Final = ("cursors", "readMarks", "deliveries", "invitations", "positions")
"""What is written of a conversation without locking it, and so perhaps once more when it is gone already."""


class _Beaten(Exception):
    """Somebody else's version is there. Leaves the transaction, which is undone."""


class Conversations:
    """Saves and deletes conversations with their members."""

    def __init__(self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> None:
        self._client = client
        self._database = database

    async def save(
        self,
        conversation: Conversation,
        put: Sequence[Member],
        remove: Collection[str],
        hooks: Sequence[Hook] = (),
    ) -> bool:
        """See `Store.save`."""
        if conversation.version == 1:
            await self._await_deletion(conversation.id)

        async def change(session: AsyncClientSession) -> None:
            await self._put_conversation(conversation, session)
            await insert_hooks(self._database, hooks, session)
            if put:
                await self._put_members(conversation.id, put, session)
            if remove:
                gone = {"conversationId": conversation.id, "userId": {"$in": list(remove)}}
                await self._database["members"].delete_many(gone, session=session)
            if conversation.version > 1 and (put or remove):  # to a new one nobody was invited
                settled = [*(member.user_id for member in put), *remove]
                old = {"conversationId": conversation.id, "userId": {"$in": settled}}
                await self._database["invitations"].delete_many(old, session=session)

        try:
            async with self._client.start_session() as session:
                await session.with_transaction(change)
        except (_Beaten, DuplicateKeyError):
            return False
        return True

    async def _put_conversation(self, conversation: Conversation, session: AsyncClientSession) -> None:
        document = conversation_fields(conversation)
        conversations = self._database["conversations"]
        if conversation.version == 1:
            # The incarnation tells a conversation from an earlier one under the same id.
            new = {"_id": conversation.id, **document, "incarnation": ObjectId()}
            await conversations.insert_one(new, session=session)
            return
        before = {"_id": conversation.id, "version": conversation.version - 1}
        result = await conversations.update_one(before, {"$set": document}, session=session)
        if result.matched_count == 0:
            raise _Beaten

    async def _put_members(
        self, conversation_id: str, put: Sequence[Member], session: AsyncClientSession
    ) -> None:
        result = await self._database["members"].bulk_write(
            [_put_member(conversation_id, member) for member in put], session=session
        )
        new = [put[index] for index in result.upserted_ids or {}]
        if cursors := [
            raised_cursor(conversation_id, member.user_id, seq=member.cursor, own_read=member.own_read)
            for member in new
            if member.cursor > 0
        ]:
            await self._database["cursors"].bulk_write(cursors, session=session)

    async def delete(self, conversation_id: str, hooks: Sequence[Hook] = ()) -> bool:
        """See `Store.delete`. Takes `_LINGER_SECONDS` and more; the conversation is gone at once."""
        conversations = self._database["conversations"]
        known = conversations.find_one({"_id": conversation_id}, {"_id": True})
        if await carried_through(known) is None:
            return False
        mark = {"$set": {"at": datetime.now(UTC)}}
        deletions = self._database["deletions"]
        await carried_through(deletions.update_one({"_id": conversation_id}, mark, upsert=True))
        if not await carried_through(self._delete_conversation(conversation_id, hooks)):
            return False  # another deleter was faster, and cleans up
        await self._clean(conversation_id)
        return True

    async def _delete_conversation(self, conversation_id: str, hooks: Sequence[Hook]) -> bool:
        async def work(session: AsyncClientSession) -> bool:
            gone = await self._database["conversations"].delete_one({"_id": conversation_id}, session=session)
            if gone.deleted_count:
                await insert_hooks(self._database, hooks, session)
            return gone.deleted_count == 1

        async with self._client.start_session() as session:
            return await session.with_transaction(work)

    async def _clean(self, conversation_id: str) -> None:
        whole = {"conversationId": conversation_id}
        for name in ("members", "changes", *_WRITTEN_UNASKED):
            await carried_through(self._database[name].delete_many(whole))
        # Processes that wrote here lately go on, unasked, for TRUST_SECONDS. The messages have to stay as
        # long: on top of them such a write is in order; into a new conversation it would make a gap.
        await asyncio.sleep(_LINGER_SECONDS)
        for name in _WRITTEN_UNASKED:
            await carried_through(self._database[name].delete_many(whole))
        await self._delete_messages(conversation_id)
        await carried_through(self._database["deletions"].delete_one({"_id": conversation_id}))

    async def _delete_messages(self, conversation_id: str) -> None:
        """From the newest down, so that also what is left when this is interrupted has no gaps."""
        messages = self._database["messages"]
        last = messages.find_one({"conversationId": conversation_id}, {"seq": True}, sort=[("seq", -1)])
        newest = await carried_through(last)
        seq = newest["seq"] if newest else 0
        while seq > 0:
            seq -= _MESSAGES_PER_STEP
            some = {"conversationId": conversation_id, "seq": {"$gt": seq}}
            await carried_through(messages.delete_many(some))

    async def _await_deletion(self, conversation_id: str) -> None:
        mark = await self._database["deletions"].find_one({"_id": conversation_id})
        if mark is None:
            return
        there = await self._database["conversations"].find_one({"_id": conversation_id}, {"_id": True})
        if there is not None:
            return  # not deleted yet; the insert will find it
        if (datetime.now(UTC) - mark["at"]).total_seconds() < _ABANDONED_SECONDS:
            raise Unavailable("The conversation that had this id is being deleted; try again.")
        await self._clean(conversation_id)


def _put_member(conversation_id: str, member: Member) -> UpdateOne:
    new: dict[str, Any] = {"joinedAt": member.joined_at, "muted": member.muted}
    places = {"archivedAt": member.archived_at, "unreadAt": member.unread_at}
    new |= {name: seq for name, seq in places.items() if seq is not None}
    return UpdateOne(
        {"conversationId": conversation_id, "userId": member.user_id},
        {"$set": {"role": member.role.value}, "$setOnInsert": new},
        upsert=True,
    )


def raised_cursor(conversation_id: str, user_id: str, *, seq: int, own_read: int) -> UpdateOne:
    """What raises a cursor to `seq`, if it does not stand there already or further."""
    further = {"$gt": [seq, {"$ifNull": ["$seq", 0]}]}
    change: dict[str, Any] = {
        "seq": {"$cond": [further, seq, "$seq"]},
        "ownRead": {"$cond": [further, own_read, "$ownRead"]},
    }
    return UpdateOne({"conversationId": conversation_id, "userId": user_id}, [{"$set": change}], upsert=True)
