"""What webhooks still have to tell, in MongoDB: hooks ↔ documents, and keeping them within a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from messaging.domain.models import Hook
from messaging.service.hooks import MESSAGE_CREATED
from messaging.stores.mongodb_documents import Document, Stored, message_from


async def insert_hooks(
    database: AsyncDatabase[Document], hooks: Sequence[Hook], session: AsyncClientSession
) -> None:
    """Keep hooks with what else the transaction does; DuplicateKeyError where another has the id of one."""
    if hooks:
        await database["hooks"].insert_many([hook_document(each) for each in hooks], session=session)


def hook_document(hook: Hook) -> Document:
    """A hook's document."""
    document: dict[str, Any] = {
        "_id": hook.id,
        "lane": hook.lane,
        "type": hook.type,
        "at": hook.at,
        "data": hook.data,
    }
    if hook.message_id is not None:
        document["messageId"] = hook.message_id
    if hook.trace:
        document["trace"] = hook.trace
    return document


def hook_from(document: Stored) -> Hook:
    """The hook that a document holds."""
    return Hook(
        id=document["_id"],
        lane=document["lane"],
        type=document["type"],
        at=document["at"],
        data=document["data"],
        message_id=document.get("messageId"),
        trace=document.get("trace", ""),
    )


def message_hook_from(document: Stored) -> Hook:
    """The hook that a message's document carries."""
    message = message_from(document)
    return Hook(
        id=message.id,
        lane=message.conversation_id,
        type=MESSAGE_CREATED,
        at=message.created_at,
        message_id=message.id,
        message=message,
        trace=document.get("hookTrace", ""),
    )
