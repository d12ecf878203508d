"""How messages get their places in MongoDB: dense `seq`, stored once, also while others write.

A message is inserted at the conversation's end + 1, and the unique index on (conversationId, seq) lets one
writer win; the others look where the end is now and try again. What this process knows of an end is only
ever what a majority has: a place on top of something that a failover can undo would leave a gap.

A lane is the part of a batch that goes to one conversation. All lanes go out in one ordered insert. It stops
at the first clash: the lanes before it are stored, those after it go on at once, and the lane that clashed
is tried again after them, having looked for itself in the store first.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from messaging.domain.errors import ClientError, RoomNotFound, Unavailable
from messaging.domain.models import Appended, Draft
from messaging.stores.mongodb_base import seconds_left
from messaging.stores.mongodb_documents import Document, Stored, message_document, message_from, new_message
from messaging.stores.mongodb_express import Express

TRUST_SECONDS: Final = 1.0
"""How long a conversation is taken to be the same one without looking. See `MongoStore.delete`."""

_MAX_ENDS: Final = 10_000
_MAX_LOOKED_AT_TOGETHER: Final = 100
_INCARNATION: Final = {"incarnation": True, "removedSeq": True}
_MAX_SENDERS: Final = 1_000
_DUPLICATE_KEY: Final = 11000
_COMMAND_BYTES: Final = 12_000_000
_NUMBER_STORED: Final = b"\x10n\0"
_DONE: Final = b"\x01ok\0" + struct.pack("<d", 1)
_ERRORS: Final = b"writeErrors"
_CONCERN: Final = b"writeConcernError"
"""Of an insert's answer in BSON (https://bsonspec.org/spec.html): an int32, a double, and two names."""
_DOCUMENT_BYTES: Final = 8_000
_ATTACHMENT_BYTES: Final = 4_000
_BYTES_PER_CHARACTER: Final = 12
"""At the most, with what is kept of it to be found by."""
_PASSING_CODES: Final = frozenset({6, 7, 89, 262, 9001})
"""HostUnreachable HostNotFound NetworkTimeout ExceededTimeLimit SocketException; PyMongo tells the others."""
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5

Outcome = Appended | ClientError
Find = Callable[..., Awaitable[Sequence[Stored]]]
"""Finds, by an express lane where one is free; as in `MongoBase`."""


def ends_of(conversation_ids: Iterable[str]) -> list[Document]:
    """The pipeline that finds, per conversation, the seq and the time of the last message.

    Sort and group are of the form that MongoDB answers by a DISTINCT_SCAN: one index step per conversation.
    """
    return [
        {"$match": {"conversationId": {"$in": list(conversation_ids)}, "seq": {"$gt": 0}}},
        {"$sort": {"conversationId": -1, "seq": -1}},
        {
            "$group": {
                "_id": "$conversationId",
                "seq": {"$first": "$seq"},
                "createdAt": {"$first": "$createdAt"},
            }
        },
    ]


def own_counts(conversation_ids: Sequence[str], sender_ids: Sequence[str], by: str) -> list[Document]:
    """The pipeline that finds, by conversation or by sender, how many messages are the sender's own.

    One of the two lists has one element, `by` names the field of the other. A DISTINCT_SCAN too.
    """
    return [
        {"$match": {"conversationId": {"$in": conversation_ids}, "senderId": {"$in": sender_ids}}},
        {"$sort": {"conversationId": -1, "senderId": -1, "seq": -1}},
        {"$group": {"_id": f"${by}", "senderSeq": {"$first": "$senderSeq"}}},
    ]


def own_counts_of_each(places: Mapping[str, Sequence[str]]) -> list[Document]:
    """The pipeline that finds, for each of these users and by conversation, how many messages are their own.

    Grouped by user and conversation in one, they would not be a DISTINCT_SCAN each.
    """
    first, *others = (
        [*own_counts(where, [user_id], "conversationId"), {"$set": {"userId": {"$literal": user_id}}}]
        for user_id, where in places.items()
    )
    return [*first, *({"$unionWith": {"coll": "messages", "pipeline": each}} for each in others)]


@dataclass(slots=True)
class _End:
    """Where a conversation ends, how many messages each sender has there, and when it was last seen alive."""

    incarnation: tuple[ObjectId, int]
    """Also up to where messages were removed: of whom nothing is left is counted anew."""
    checked: float
    seq: int = 0
    sent: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Lane:
    """What of a batch still has to be stored in one conversation, with the places in the batch."""

    conversation_id: str
    waiting: list[tuple[int, Draft]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    end: _End | None = None
    tried: bool = False
    unsure: bool = False  # whether some of it may have been stored by a try whose answer was lost

    def senders_unknown_to(self, end: _End) -> set[str]:
        """Those who wait and of whom it is not known how many messages they have here."""
        return {draft.sender_id for _, draft in self.waiting if draft.sender_id not in end.sent}

    def number(self, end: _End) -> None:
        """Give each waiting draft the next place."""
        for _, draft in self.waiting:
            end.seq += 1
            end.sent[draft.sender_id] = own = end.sent[draft.sender_id] + 1
            self.documents.append(message_document(draft, end.seq, own))

    def reset(self, *, unsure: bool) -> None:
        """Forget the places, which others may have taken."""
        self.documents, self.end = [], None
        self.tried, self.unsure = True, self.unsure or unsure


class Batch:
    """The drafts of one `append`: lanes, and what has become of each draft."""

    def __init__(self, drafts: Sequence[Draft], ids: Callable[[], int]) -> None:
        self._ids = ids
        self._outcomes: list[Outcome] = [Unavailable()] * len(drafts)
        self._repeats: list[tuple[int, int]] = []
        self._lanes: dict[str, _Lane] = {}
        self.clash: Document | None = None
        """MongoDB's answer to the last insert that met something."""
        self._sort(drafts)

    def _sort(self, drafts: Sequence[Draft]) -> None:
        known: dict[tuple[str, str, str], int] = {}
        taken: set[int] = set()
        for index, draft in enumerate(drafts):
            if draft.client_message_id is not None:
                key = draft.conversation_id, draft.sender_id, draft.client_message_id
                first = known.setdefault(key, index)
                if first != index:
                    self._repeats.append((index, first))
                    continue
            unique = draft if draft.id not in taken else replace(draft, id=self._ids())
            taken.add(unique.id)
            lane = self._lanes.get(draft.conversation_id)
            if lane is None:
                lane = self._lanes[draft.conversation_id] = _Lane(draft.conversation_id)
            lane.waiting.append((index, unique))

    @property
    def unfinished(self) -> list[_Lane]:
        """The lanes of which something still waits."""
        return [lane for lane in self._lanes.values() if lane.waiting]

    def refuse(self, lane: _Lane, error: ClientError) -> None:
        """Give up what waits in a lane."""
        for index, _ in lane.waiting:
            self._outcomes[index] = error
        lane.waiting = []

    def stored(self, lane: _Lane, count: int) -> None:
        """The first `count` of the lane's documents are stored."""
        for (index, draft), document in zip(lane.waiting[:count], lane.documents, strict=False):
            self._outcomes[index] = Appended(message=new_message(draft, document))
        del lane.waiting[:count], lane.documents[:count]

    def found(self, lane: _Lane, documents: Sequence[Stored]) -> None:
        """Take out of a lane what turned out to be stored; give a new id where somebody else has it."""
        by_id = {each["_id"]: each for each in documents}
        by_key = {
            (each["senderId"], each["clientMessageId"]): each
            for each in documents
            if each["conversationId"] == lane.conversation_id and "clientMessageId" in each
        }
        waiting, lane.waiting = lane.waiting, []
        for index, draft in waiting:
            same = by_key.get((draft.sender_id, draft.client_message_id or ""))
            holder = by_id.get(draft.id)
            if same is not None and not (lane.unsure and same is holder):
                self._outcomes[index] = Appended(message=message_from(same), repeated=True)
            elif holder is None:
                lane.waiting.append((index, draft))
            elif lane.unsure and _is_own(holder, draft):
                self._outcomes[index] = Appended(message=message_from(holder))
            else:
                lane.waiting.append((index, replace(draft, id=self._ids())))

    def outcomes(self) -> list[Outcome]:
        """One per draft, in their order; of what still waits, Unavailable."""
        for index, first in self._repeats:
            outcome = self._outcomes[first]
            self._outcomes[index] = (
                replace(outcome, repeated=True) if isinstance(outcome, Appended) else outcome
            )
        return self._outcomes


def _is_own(document: Stored, draft: Draft) -> bool:
    # All that never changes of a message. Its content may have been edited since.
    message = message_from(document)
    return (
        (message.conversation_id, message.sender_id, message.created_at, message.client_message_id)
        == (draft.conversation_id, draft.sender_id, draft.created_at, draft.client_message_id)
    ) and (message.rev > 0 or message.content == draft.content)


def says_that_all_is_stored(answer: bytes, count: int) -> bool:
    """Whether the answer to an insert of so many documents says that, and nothing else. Most do; to decode
    one takes as long as to make two documents. Where this says no, the decoded answer says what is so.
    """
    number = _NUMBER_STORED + count.to_bytes(4, "little")
    return number in answer and _DONE in answer and not (_ERRORS in answer or _CONCERN in answer)


def _stored_for_good(reply: Document, documents: Sequence[Document]) -> int:
    """How many documents an ordered insert stored for good before it met a taken key. Raises BulkWriteError
    when something else was wrong."""
    errors = reply.get("writeErrors", [])
    unsure = reply.get("writeConcernErrors") or reply.get("writeConcernError")
    if unsure or (errors and errors[0]["code"] != _DUPLICATE_KEY):
        raise BulkWriteError(dict(reply))
    return int(errors[0]["index"]) if errors else len(documents)


def _fit_into_one_command(documents: Sequence[Document]) -> bool:
    """Whether documents are far from what one command may hold, whatever they hold beside their content."""
    characters = sum([len(each["content"]) for each in documents])
    attachments = sum([len(each["attachments"]) for each in documents if "attachments" in each])
    size = characters + _ATTACHMENT_BYTES * attachments
    return (size * _BYTES_PER_CHARACTER) + _DOCUMENT_BYTES * len(documents) < _COMMAND_BYTES


class Appender:
    """Appends batches; those under way together go to different conversations. Remembers the ends of the
    conversations that it wrote to last."""

    def __init__(
        self,
        messages: AsyncCollection[Document],
        conversations: AsyncCollection[Document],
        ids: Callable[[], int],
        express: Express,
        find: Find,
    ) -> None:
        self._client = messages.database.client
        self._messages = messages
        self._express = express
        self._find_newest = find
        # Where a message goes is read locally: that is the newest, and does not wait until a majority has
        # it. It is no less safe: the insert behind it is acked when a majority has both.
        local = ReadConcern("local")
        self._conversations = conversations.with_options(read_concern=local)
        self._newest = messages.with_options(read_concern=local)
        self._ids = ids
        self._ends: dict[str, _End] = {}

    async def append(self, drafts: Sequence[Draft], *, deadline: float) -> list[Outcome]:
        """What became of each draft; Unavailable where that is not known by `deadline` (time.monotonic)."""
        batch = Batch(drafts, self._ids)
        pause = _FIRST_PAUSE_SECONDS
        while batch.unfinished and time.monotonic() < deadline:
            try:
                await self._round(batch)
            except (ConnectionFailure, OperationFailure) as error:
                if not _passes(error) or time.monotonic() + pause >= deadline:
                    break
                for lane in batch.unfinished:
                    lane.reset(unsure=True)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return batch.outcomes()

    def forget(self, conversation_id: str) -> None:
        """The conversation is gone."""
        self._ends.pop(conversation_id, None)

    async def _round(self, batch: Batch) -> None:
        tried = [lane for lane in batch.unfinished if lane.tried]
        if tried:
            await self._find(batch, tried)
        await self._load(batch)
        await self._insert(batch)

    async def _insert(self, batch: Batch) -> None:
        lanes = batch.unfinished
        while lanes:
            documents = [document for lane in lanes for document in lane.documents]
            reply = await self._ordered_insert(documents)
            if "writeErrors" in reply:
                batch.clash = reply
            lanes = self._settle(batch, lanes, _stored_for_good(reply, documents))

    async def _ordered_insert(self, documents: list[Document]) -> Document:
        """MongoDB's answer to an ordered insert.

        By an express lane, or at least as a plain command, which takes a fifth less time than `insert_many`.
        What the driver does beside it, to try a second time, is done here anyway.
        """
        if _fit_into_one_command(documents):
            command = {"insert": self._messages.name, "documents": documents, "ordered": True}
            command |= {"writeConcern": self._messages.write_concern.document}
            lane = self._express.lane()
            if lane is None:
                return await self._messages.database.command(command)
            command |= {"$db": self._messages.database.name}
            answer = await lane.answer(command, seconds_left())
            if says_that_all_is_stored(answer, len(documents)):
                return {}
            return lane.read(answer, self._messages.codec_options)
        async with self._client.start_session() as session:
            try:
                await self._messages.insert_many(documents, session=session)
            except BulkWriteError as error:
                at = {"operationTime": session.operation_time, "$clusterTime": session.cluster_time}
                return {**(error.details or {}), **at}
        return {}

    def _settle(self, batch: Batch, lanes: list[_Lane], stored: int) -> list[_Lane]:
        """Record what is stored; the lanes that have not been tried yet."""
        for position, lane in enumerate(lanes):
            count = min(stored, len(lane.documents))
            batch.stored(lane, count)
            stored -= count
            if lane.waiting:
                lane.reset(unsure=False)
                return lanes[position + 1 :]
            if lane.end is not None:
                self._remember(lane.conversation_id, lane.end)
        return []

    def _remember(self, conversation_id: str, end: _End) -> None:
        if len(end.sent) > _MAX_SENDERS:
            end.sent.clear()
        while len(self._ends) >= _MAX_ENDS:
            del self._ends[next(iter(self._ends))]  # the one that was written to longest ago
        self._ends[conversation_id] = end

    async def _find(self, batch: Batch, lanes: Sequence[_Lane]) -> None:
        """Look for what the lanes hold by id and by client message id: the server names only one clash."""
        ids = [draft.id for lane in lanes for _, draft in lane.waiting]
        keys = [where for lane in lanes if (where := _key_filter(lane))]
        async with self._client.start_session(causal_consistency=True) as session:
            if batch.clash is not None:  # what is in the way there must be seen
                session.advance_operation_time(batch.clash["operationTime"])
                session.advance_cluster_time(batch.clash["$clusterTime"])
            found = self._messages.find({"$or": [{"_id": {"$in": ids}}, *keys]}, session=session)
            documents = await found.to_list()
        for lane in lanes:
            batch.found(lane, documents)

    async def _load(self, batch: Batch) -> None:
        """Give each lane its places."""
        lanes = batch.unfinished
        for lane in lanes:
            # Out of the cache while the write is under way: only success puts it back, whatever happens.
            lane.end = self._ends.pop(lane.conversation_id, None)
        oldest = time.monotonic() - TRUST_SECONDS
        if old := [lane for lane in lanes if lane.end is None or lane.end.checked < oldest]:
            await self._load_ends(batch, old)
        for lane in lanes:
            if lane.end is not None:
                if unknown := lane.senders_unknown_to(lane.end):
                    await self._load_senders(lane.conversation_id, lane.end, unknown)
                lane.number(lane.end)

    async def _load_ends(self, batch: Batch, lanes: Sequence[_Lane]) -> None:
        now = time.monotonic()  # before the look: what is seen is at least as young
        soon = self._soon_old(now)
        query = {"_id": {"$in": [*(lane.conversation_id for lane in lanes), *soon]}}
        found = await self._find_newest(self._conversations, query, shown=_INCARNATION)
        incarnations = {each["_id"]: (each["incarnation"], each.get("removedSeq", 0)) for each in found}
        for conversation_id, end in soon.items():
            if end.incarnation == incarnations.get(conversation_id):
                end.checked = now
        cold = []
        for lane in lanes:
            incarnation = incarnations.get(lane.conversation_id)
            if incarnation is None:
                lane.end = None
                batch.refuse(lane, RoomNotFound())
            elif lane.end is not None and lane.end.incarnation == incarnation:
                lane.end.checked = now
            else:
                lane.end = _End(incarnation, now)
                cold.append(lane)
        if cold:
            await self._load_seqs(cold)

    def _soon_old(self, now: float) -> dict[str, _End]:
        """Ends that will be asked for next, of conversations that were written to just now: those of many
        that are written to all the time are looked at in one question a second, and not in one for each."""
        latest = islice(reversed(self._ends.items()), _MAX_LOOKED_AT_TOGETHER)
        return {each: end for each, end in latest if TRUST_SECONDS / 2 < now - end.checked < TRUST_SECONDS}

    async def _load_seqs(self, lanes: Sequence[_Lane]) -> None:
        pipeline = ends_of([lane.conversation_id for lane in lanes])
        cursor = await self._newest.aggregate(pipeline)
        seqs = {each["_id"]: each["seq"] async for each in cursor}
        for lane in lanes:
            if lane.end is not None:
                lane.end.seq = seqs.get(lane.conversation_id, 0)

    async def _load_senders(self, conversation_id: str, end: _End, unknown: Collection[str]) -> None:
        end.sent.update(dict.fromkeys(unknown, 0))
        if end.seq:
            pipeline = own_counts([conversation_id], list(unknown), "senderId")
            cursor = await self._newest.aggregate(pipeline)
            end.sent.update({each["_id"]: each["senderSeq"] async for each in cursor})


def _key_filter(lane: _Lane) -> Document | None:
    keyed = [draft for _, draft in lane.waiting if draft.client_message_id is not None]
    if not keyed:
        return None
    return {
        "conversationId": lane.conversation_id,
        "senderId": {"$in": list({draft.sender_id for draft in keyed})},
        "clientMessageId": {"$in": [draft.client_message_id for draft in keyed]},
    }


def _passes(error: PyMongoError) -> bool:
    """Whether trying again may help: the connection broke, another server is elected, the disk is slow."""
    labels = ("RetryableWriteError", "TransientTransactionError")
    if isinstance(error, OperationFailure) and error.code in _PASSING_CODES:
        return True
    return isinstance(error, ConnectionFailure | BulkWriteError) or any(map(error.has_error_label, labels))
