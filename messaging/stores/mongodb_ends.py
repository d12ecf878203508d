"""Where conversations end, in MongoDB: one command, however many they are.

A command costs PyMongo far more than what it finds. So three collections are asked by one pipeline, whose
parts come in this order: whatever is read later is as new as what was read before, or newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from messaging.domain.models import ReadMark
from messaging.domain.pages import End
from messaging.stores.mongodb_append import ends_of
from messaging.stores.mongodb_base import MongoBase, answering
from messaging.stores.mongodb_documents import Document, Stored, conversation_from, read_mark_from

_END: Final = "end"
"""Tells the last message of a conversation from the conversation."""


class MongoEnds(MongoBase):
    """`Ends` (messaging.service.ports_ends)."""

    @answering
    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        """See `Ends.ends`."""
        if not after:
            return {}
        conversations: dict[str, Stored] = {}
        seqs: dict[str, int] = {}
        marks: dict[str, list[ReadMark]] = {}
        for each in await self._aggregated(self._database["conversations"], _pipeline(after)):
            if "readerId" in each:
                marks.setdefault(each["conversationId"], []).append(read_mark_from(each))
            elif _END in each:
                seqs[each["_id"]] = each[_END]
            else:
                conversations[each["_id"]] = each
        return {
            where: End(
                conversation=conversation_from(each),
                last_seq=seqs.get(where, 0),
                last_rev=each.get("rev", 0),
                marks=tuple(sorted(marks.get(where, ()), key=_place)),
            )
            for where, each in conversations.items()
        }


def _pipeline(after: Mapping[str, int | None]) -> list[Document]:
    last = [*ends_of(after), {"$project": {_END: "$seq"}}]
    pipeline: list[Document] = [
        {"$match": {"_id": {"$in": list(after)}}},
        {"$unionWith": {"coll": "messages", "pipeline": last}},
    ]
    read = [{"conversationId": where, "seq": {"$gt": seq}} for where, seq in after.items() if seq is not None]
    if read:
        marks = [{"$match": {"$or": read}}, {"$project": {"_id": False}}]
        pipeline.append({"$unionWith": {"coll": "readMarks", "pipeline": marks}})
    return pipeline


def _place(mark: ReadMark) -> tuple[int, int, str]:
    return mark.seq, mark.after, mark.reader_id
