"""What is known of uploads, in MongoDB."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from pymongo import ASCENDING, DeleteOne, IndexModel, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from messaging.domain.uploads import Attached, Upload
from messaging.service.ports_uploads import KEY_BYTES
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored

UPLOAD_INDEXES: Final[Mapping[str, tuple[IndexModel, ...]]] = {
    "uploadRecords": (
        IndexModel([("userId", ASCENDING), ("fileSize", ASCENDING)]),
        IndexModel([("checkedAt", ASCENDING)]),
    ),
    "attached": (IndexModel([("uploadId", ASCENDING), ("messageId", ASCENDING)], unique=True),),
}


class MongoUploads(MongoBase):
    """`Uploads` (messaging.service.ports_uploads)."""

    @answering
    async def keep_upload(self, upload: Upload) -> None:
        """See `Uploads.keep_upload`."""
        document = _document(upload)
        await self._database["uploadRecords"].update_one(
            {"_id": upload.id},
            {"$set": document, "$setOnInsert": {"checkedAt": upload.created_at}},
            upsert=True,
        )

    @answering
    async def change_upload(self, upload: Upload) -> bool:
        """See `Uploads.change_upload`."""
        records = self._database["uploadRecords"]
        return (await records.update_one({"_id": upload.id}, {"$set": _document(upload)})).matched_count == 1

    @answering
    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, Upload]:
        """See `Uploads.uploads`."""
        found = self._database["uploadRecords"].find({"_id": {"$in": list(upload_ids)}})
        return {each["_id"]: _upload_from(each) async for each in found}

    @answering
    async def uploaded_bytes(self, user_id: str) -> int:
        """See `Uploads.uploaded_bytes`. Answered by the index alone."""
        stages: list[Document] = [
            {"$match": {"userId": user_id}},
            {"$group": {"_id": None, "bytes": {"$sum": "$fileSize"}}},
        ]
        totals = await (await self._database["uploadRecords"].aggregate(stages)).to_list()
        return int(totals[0]["bytes"]) if totals else 0

    @answering
    async def uploads_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[Upload]:
        """See `Uploads.uploads_of`."""
        found = self._database["uploadRecords"].find({"userId": user_id, "_id": {"$gt": after}})
        return [_upload_from(each) async for each in found.sort("_id", ASCENDING).limit(limit)]

    @answering
    async def attach(self, places: Sequence[Attached]) -> None:
        """See `Uploads.attach`."""
        if places:
            await self._database["attached"].bulk_write(
                [
                    UpdateOne(_place(each), {"$set": {"conversationId": each.conversation_id}}, upsert=True)
                    for each in places
                ]
            )

    @answering
    async def attached(self, upload_id: str) -> Sequence[Attached]:
        """See `Uploads.attached`."""
        return [
            Attached(
                upload_id=upload_id, conversation_id=each["conversationId"], message_id=each["messageId"]
            )
            async for each in self._database["attached"].find({"uploadId": upload_id})
        ]

    @answering
    async def detach(self, places: Sequence[Attached]) -> None:
        """See `Uploads.detach`."""
        if places:
            await self._database["attached"].bulk_write([DeleteOne(_place(each)) for each in places])

    @answering
    async def unchecked_uploads(self, *, before: datetime, limit: int) -> Sequence[Upload]:
        """See `Uploads.unchecked_uploads`."""
        found = self._database["uploadRecords"].find({"checkedAt": {"$lt": before}})
        return [_upload_from(each) async for each in found.sort("checkedAt", ASCENDING).limit(limit)]

    @answering
    async def check_upload(self, upload_id: str, *, at: datetime) -> None:
        """See `Uploads.check_upload`."""
        await self._database["uploadRecords"].update_one({"_id": upload_id}, {"$set": {"checkedAt": at}})

    @answering
    async def drop_upload(self, upload_id: str) -> None:
        """See `Uploads.drop_upload`. Its places first: while it is known, it is looked at again."""
        await self._database["attached"].delete_many({"uploadId": upload_id})
        await self._database["uploadRecords"].delete_one({"_id": upload_id})

    @answering
    async def shared_key(self, name: str) -> bytes:
        """See `Uploads.shared_key`."""
        change = {"$setOnInsert": {"value": secrets.token_bytes(KEY_BYTES)}}
        keys = self._database["sharedKeys"]
        try:
            found = await keys.find_one_and_update(
                {"_id": name}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # another process made it just now
            found = await keys.find_one({"_id": name})
        if found is None:
            raise RuntimeError("a key that was just made is gone")
        return bytes(found["value"])


def _place(attached: Attached) -> Document:
    return {"uploadId": attached.upload_id, "messageId": attached.message_id}


def _document(upload: Upload) -> Document:
    return {
        "userId": upload.user_id,
        "fileName": upload.file_name,
        "fileSize": upload.file_size,
        "mimeType": upload.mime_type,
        "width": upload.width,
        "height": upload.height,
        "thumbnail": upload.thumbnail,
        "ready": upload.ready,
        "createdAt": upload.created_at,
    }


def _upload_from(document: Stored) -> Upload:
    return Upload(
        id=document["_id"],
        user_id=document["userId"],
        file_name=document["fileName"],
        file_size=document["fileSize"],
        mime_type=document["mimeType"],
        width=document["width"],
        height=document["height"],
        thumbnail=document["thumbnail"],
        ready=document["ready"],
        created_at=document["createdAt"],
    )
