"""How messages change in MongoDB: one transaction that counts the conversation's `rev`, replaces what changed
of the message, and keeps what was done in `changes`.

Counting comes first: it holds the conversation's document until the transaction is through, so that changes
of one conversation follow each other, and none can be seen before those below it. The highest `rev` of all
messages would not do for a count: a message that changes again gives its place free, and a writer who had
looked before would take that place after others had read past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from messaging.domain.models import Change, Changed, ChangeKind, Edit, Hook, Message
from messaging.stores.mongodb_documents import (
    Document,
    change_document,
    change_from,
    edit_from,
    message_changes,
)
from messaging.stores.mongodb_hooks import insert_hooks

_EDIT: Final = {"kind": ChangeKind.EDITED.value, "before": {"$exists": True}}


class _Beaten(Exception):
    """The message is another by now, or gone. Leaves the transaction, which is undone."""


class Changes:
    """Changes messages, and says what was changed."""

    def __init__(self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> None:
        self._client = client
        self._database = database
        self._conversations = database["conversations"]
        self._messages = database["messages"]
        self._changes = database["changes"]

    async def change(
        self, message: Message, made: Change, before: str | None, hooks: Sequence[Hook]
    ) -> Changed | None:
        """See `Store.change`."""

        async def work(session: AsyncClientSession) -> Changed:
            counted = await self._count(made, session)
            await self._replace(message, counted.rev, session)
            await self._keep(counted, before, session)
            await insert_hooks(self._database, hooks, session)
            return Changed(message=replace(message, rev=counted.rev), change=counted)

        try:
            async with self._client.start_session() as session:
                return await session.with_transaction(work)
        except (_Beaten, DuplicateKeyError):  # the latter: another hook has the id of one of these
            return None

    async def _count(self, made: Change, session: AsyncClientSession) -> Change:
        conversation = await self._conversations.find_one_and_update(
            {"_id": made.conversation_id},
            {"$inc": {"rev": 1}},
            {"rev": True},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if conversation is None:
            raise _Beaten
        last = await self._messages.find_one(
            {"conversationId": made.conversation_id}, {"seq": True}, sort=[("seq", -1)], session=session
        )
        return replace(made, rev=conversation["rev"], last_seq=last["seq"] if last else 0)

    async def _replace(self, message: Message, rev: int, session: AsyncClientSession) -> None:
        same = {"_id": message.id, "rev": message.rev or {"$exists": False}}
        result = await self._messages.update_one(same, message_changes(message, rev), session=session)
        if result.matched_count == 0:
            raise _Beaten

    async def _keep(self, made: Change, before: str | None, session: AsyncClientSession) -> None:
        if made.kind is ChangeKind.DELETED:
            earlier = {"messageId": made.message_id, **_EDIT}
            await self._changes.update_many(earlier, {"$unset": {"before": True}}, session=session)
        await self._changes.insert_one(change_document(made, before), session=session)

    async def changes(self, conversation_id: str, after: int, limit: int) -> Sequence[Change]:
        """See `Store.changes`."""
        if limit <= 0:  # MongoDB takes 0 for no limit
            return []
        query = {"conversationId": conversation_id, "rev": {"$gt": after}}
        found = self._changes.find(query, {"before": False}).sort("rev", 1).limit(limit)
        return [change_from(each) async for each in found]

    async def rev_before(self, conversation_id: str, seq: int) -> int:
        """See `Store.rev_before`."""
        query = {"conversationId": conversation_id, "lastSeq": {"$lt": seq}}
        # The later a change, the further its conversation's end.
        found = await self._changes.find_one(query, {"rev": True}, sort=[("lastSeq", -1), ("rev", -1)])
        return int(found["rev"]) if found else 0

    async def edits(self, message_id: int, limit: int, after: int | None) -> Sequence[Edit]:
        """See `Store.edits`."""
        if limit <= 0:
            return []
        query = {"messageId": message_id, **_EDIT}
        if after is not None:
            onwards = self._changes.find({**query, "rev": {"$gt": after}}).sort("rev", 1).limit(limit)
            return [edit_from(each) async for each in onwards]
        found = self._changes.find(query).sort("rev", -1).limit(limit)
        return [edit_from(each) async for each in found][::-1]
