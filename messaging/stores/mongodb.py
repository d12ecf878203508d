"""The store on MongoDB: a replica set (one node will do) or a sharded cluster, shared by all processes.

Writes are acknowledged by a majority that has them in its journal; reads come from the primary and show only
what a majority has, so nothing that anybody was told can be undone. How messages get their places is in
`mongodb_append.py`, and how they change in `mongodb_changes.py`; saving and deleting conversations in
`mongodb_conversations.py`; where devices stand in `mongodb_devices.py`; what clients come back to in
`mongodb_recoveries.py`; what the documents look like in
`mongodb_documents.py`; what all of it stands on in `mongodb_base.py`. Ids are strings and integers that were
checked at the edge: nothing else of a client's ever stands in a filter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from bson.codec_options import CodecOptions
from pymongo.errors import DuplicateKeyError

from messaging.domain.errors import ClientError
from messaging.domain.ids import INBOX, IdSource
from messaging.domain.models import (
    Appended,
    Change,
    Changed,
    Conversation,
    Draft,
    Edit,
    Hook,
    Member,
    Membership,
    Message,
    Position,
    Profile,
    ReadMark,
    Role,
    Status,
    Tail,
    User,
)
from messaging.stores.mongodb_append import Appender, ends_of, own_counts_of_each
from messaging.stores.mongodb_arrivals import MongoArrivals
from messaging.stores.mongodb_base import NotAReplicaSet, answering
from messaging.stores.mongodb_changes import Changes
from messaging.stores.mongodb_conversations import Conversations
from messaging.stores.mongodb_deliveries import MongoDeliveries
from messaging.stores.mongodb_devices import positions_from, raised_positions
from messaging.stores.mongodb_documents import (
    INDEXES,
    UNSEEN,
    Document,
    Stored,
    conversation_from,
    member_from,
    message_from,
    profile_document,
    profile_from,
    read_mark_document,
    read_mark_from,
    searchable,
    user_from,
    with_zone,
)
from messaging.stores.mongodb_duties import MongoDuties
from messaging.stores.mongodb_ends import MongoEnds
from messaging.stores.mongodb_forgetting import MongoForgetting
from messaging.stores.mongodb_inbox import INBOX_INDEXES
from messaging.stores.mongodb_moderation import MODERATION_INDEXES, MongoModeration
from messaging.stores.mongodb_push import PUSH_INDEXES, MongoPush
from messaging.stores.mongodb_recoveries import MongoRecoveries
from messaging.stores.mongodb_retention import MongoRetention
from messaging.stores.mongodb_search import MongoFinding
from messaging.stores.mongodb_uploads import UPLOAD_INDEXES, MongoUploads

__all__ = ["MongoStore", "NotAReplicaSet"]

_LAST_CHARACTER: Final = "\U0010ffff"
_COUNTED_TOGETHER: Final = 50
"""Of how many users the messages are counted in one question, at the most …"""
_PLACES_TOGETHER: Final = 20_000
"""… and in how many conversations, but for a user with more: a question has at most 16 MB."""


class MongoStore(
    MongoArrivals,
    MongoDeliveries,
    MongoDuties,
    MongoEnds,
    MongoFinding,
    MongoForgetting,
    MongoModeration,
    MongoPush,
    MongoRecoveries,
    MongoRetention,
    MongoUploads,
):
    """`Store` (messaging.service.ports) in the database that `uri` names, or in `messaging`.

    `ids` gives a message's new id where another message has its own. Timeouts in the URI win over ours.
    """

    def __init__(self, uri: str, *, ids: Callable[[], int] | None = None) -> None:
        super().__init__(uri)
        database = self._database
        self._users = database["users"]
        self._found_conversations = database["conversations"]
        self._members = database["members"]
        self._messages = database["messages"]
        # To give each time of a page its zone, PyMongo takes as long as for all the rest of the page.
        without_zones: CodecOptions[Document] = CodecOptions(tz_aware=False)
        self._pages = self._messages.with_options(codec_options=without_zones)
        self._cursors = database["cursors"]
        self._read_marks = database["readMarks"]
        self._invitations = database["invitations"]
        self._positions = database["positions"]
        self._conversations = Conversations(self._client, database)
        self._changes = Changes(self._client, database)
        ids = ids or IdSource(lambda: datetime.now(UTC)).next
        self._appender = Appender(self._messages, self._found_conversations, ids, self.express, self._found)

    @answering
    async def open(self) -> None:
        """See `Store.open`. Raises NotAReplicaSet."""
        hello = await self._client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise NotAReplicaSet
        for name, indexes in {
            **INDEXES,
            **INBOX_INDEXES,
            **MODERATION_INDEXES,
            **PUSH_INDEXES,
            **UPLOAD_INDEXES,
        }.items():
            if indexes:
                await self._database[name].create_indexes(list(indexes))

    async def close(self) -> None:
        """See `Store.close`."""
        self._closed = True
        await self._idle.wait()
        await self.express.close()
        await self._client.close()

    @answering
    async def ping(self) -> None:
        """See `Store.ping`. Writes, since a full disk or a lost majority still answers a ping."""
        now = {"$set": {"at": datetime.now(UTC)}}
        await self._database["pings"].update_one({"_id": "ping"}, now, upsert=True)

    # users

    @answering
    async def put_user(self, profile: Profile) -> bool:
        """See `Store.put_user`."""
        result = await self._users.update_one({"_id": profile.id}, _profile_change(profile), upsert=True)
        return result.upserted_id is not None

    @answering
    async def put_users(self, profiles: Sequence[Profile]) -> Sequence[bool]:
        """See `Store.put_users`."""
        if not profiles:
            return []
        changes = [{"q": {"_id": each.id}, "u": _profile_change(each), "upsert": True} for each in profiles]
        made = (await self._updated(self._users, changes, ordered=True)).made
        return [number in made for number in range(len(profiles))]

    @answering
    async def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        """See `Store.users`."""
        found = await self._found(self._users, {"_id": {"$in": list(user_ids)}})
        return {each["_id"]: user_from(each) for each in found}

    @answering
    async def find_users(self, prefix: str, *, limit: int, after: str | None = None) -> Sequence[Profile]:
        """See `Store.find_users`."""
        start = prefix.casefold()
        query: Document = {"searchable": {"$elemMatch": {"$gte": start, "$lt": start + _LAST_CHARACTER}}}
        if after is not None:
            query["_id"] = {"$gt": after}
        found = self._users.find(query).sort("_id", 1).limit(limit)
        return [profile_from(each) async for each in found]

    @answering
    async def set_status(self, user_id: str, status: Status) -> None:
        """See `Store.set_status`."""
        await self._users.update_one({"_id": user_id}, {"$set": {"status": status.value}})

    @answering
    async def set_last_seen(self, user_id: str, at: datetime) -> None:
        """See `Store.set_last_seen`."""
        await self._users.update_one({"_id": user_id}, {"$max": {"lastSeen": at}})

    @answering
    async def set_all_last_seen(self, seen: Mapping[str, datetime]) -> None:
        """See `Store.set_all_last_seen`. One write for all who were last seen at the same time."""
        by_time: dict[datetime, list[str]] = {}
        for user_id, at in seen.items():
            by_time.setdefault(at, []).append(user_id)
        changes = [
            {"q": {"_id": {"$in": user_ids}}, "u": {"$max": {"lastSeen": at}}, "multi": True}
            for at, user_ids in by_time.items()
        ]
        if changes:
            await self._updated(self._users, changes)

    # conversations

    @answering
    async def save(
        self,
        conversation: Conversation,
        *,
        put: Sequence[Member] = (),
        remove: Collection[str] = (),
        hooks: Sequence[Hook] = (),
    ) -> bool:
        """See `Store.save`."""
        return await self._conversations.save(conversation, put, remove, hooks)

    @answering
    async def conversation(self, conversation_id: str) -> Conversation | None:
        """See `Store.conversation`."""
        found = await self._first(self._found_conversations, {"_id": conversation_id})
        return conversation_from(found) if found else None

    @answering
    async def conversations_among(self, conversation_ids: Collection[str]) -> Mapping[str, Conversation]:
        """See `Store.conversations_among`."""
        found = await self._found(self._found_conversations, {"_id": {"$in": list(conversation_ids)}})
        return {each["_id"]: conversation_from(each) for each in found}

    async def delete(self, conversation_id: str, *, hooks: Sequence[Hook] = ()) -> bool:
        """See `Store.delete`. Each of its steps has the client's timeout: there may be many messages."""
        with self._working():
            try:
                return await self._conversations.delete(conversation_id, hooks)
            finally:
                self._appender.forget(conversation_id)

    @answering
    async def member(self, conversation_id: str, user_id: str) -> Member | None:
        """See `Store.member`."""
        return await self._member(conversation_id, user_id)

    async def _member(self, conversation_id: str, user_id: str) -> Member | None:
        query = {"conversationId": conversation_id, "userId": user_id}
        found = await self._first(self._members, query)
        return member_from(found, await self._first(self._cursors, query)) if found else None

    @answering
    async def roles(self, places: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Role]:
        """See `Store.roles`."""
        if not places:
            return {}
        by_conversation: dict[str, list[str]] = {}
        for conversation_id, user_id in places:
            by_conversation.setdefault(conversation_id, []).append(user_id)
        wanted = [{"conversationId": c, "userId": {"$in": users}} for c, users in by_conversation.items()]
        shown = {"_id": False, "conversationId": True, "userId": True, "role": True}
        found = await self._found(self._members, {"$or": wanted}, shown=shown)
        return {(each["conversationId"], each["userId"]): Role(each["role"]) for each in found}

    @answering
    async def members(
        self, conversation_id: str, *, limit: int, role: Role | None = None
    ) -> Sequence[Member]:
        """See `Store.members`."""
        query = {"conversationId": conversation_id}
        if role is not None:
            query["role"] = role.value
        found = await self._members.find(query).sort({"joinedAt": 1, "userId": 1}).limit(limit).to_list()
        readers = {"$in": [each["userId"] for each in found]}
        cursors = self._cursors.find({"conversationId": conversation_id, "userId": readers})
        by_user = {each["userId"]: each async for each in cursors}
        return [member_from(each, by_user.get(each["userId"])) for each in found]

    @answering
    async def memberships(self, user_id: str) -> Sequence[Membership]:
        """See `Store.memberships`. Five queries, however many there are."""
        return (await self._memberships({"userId": user_id})).get(user_id, [])

    @answering
    async def memberships_of(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Membership]]:
        """See `Store.memberships_of`. Five queries, and one more for each fifty users."""
        return await self._memberships({"userId": {"$in": list(user_ids)}})

    @answering
    async def membership(self, conversation_id: str, user_id: str) -> Membership | None:
        """See `Store.membership`."""
        query = {"conversationId": conversation_id, "userId": user_id}
        return next(iter((await self._memberships(query)).get(user_id, ())), None)

    async def _memberships(self, query: Document) -> Mapping[str, Sequence[Membership]]:
        return await self._whole(await self._found(self._members, query), query)

    async def _whole(self, members: Sequence[Stored], query: Document) -> Mapping[str, Sequence[Membership]]:
        ids = {each["conversationId"] for each in members}
        if not ids:
            return {}
        conversations = _by(await self._found(self._found_conversations, {"_id": {"$in": list(ids)}}), "_id")
        # Cursors first: a message sent and read in between then counts as unread rather than as minus one.
        read = await self._found(self._cursors, query)
        cursors = {(each["userId"], each["conversationId"]): each for each in read}
        own = await self._own_counts(members)
        ends = await self._aggregate(ends_of(ids))
        found: dict[str, list[Membership]] = {}
        for each in members:
            user_id, where = each["userId"], each["conversationId"]
            if where not in conversations:
                continue
            member = member_from(each, cursors.get((user_id, where)))
            counted = own.get(user_id, {}).get(where)
            membership = _membership(conversations[where], member, ends.get(where), counted)
            found.setdefault(user_id, []).append(membership)
        return found

    async def _own_counts(self, members: Sequence[Stored]) -> Mapping[str, Mapping[str, Stored]]:
        """By user and conversation, how many messages are the user's own."""
        places: dict[str, list[str]] = {}
        for each in members:
            places.setdefault(each["userId"], []).append(each["conversationId"])
        found: dict[str, dict[str, Stored]] = {user_id: {} for user_id in places}
        for some in _together(places):
            for each in await self._aggregated(self._messages, own_counts_of_each(some)):
                found[each["userId"]][each["_id"]] = each
        return found

    async def _aggregate(self, pipeline: Sequence[Document]) -> Mapping[str, Stored]:
        return _by(await self._aggregated(self._messages, pipeline), "_id")

    # messages

    @property
    def appends_together(self) -> int:
        """A few: while one waits for the disk, another is on its way there, and a third being told."""
        return 4

    @answering
    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        """See `Store.append`. An outage is an outcome of the drafts, not raised."""
        deadline = time.monotonic() + self._seconds
        return await self._appender.append(drafts, deadline=deadline)

    @answering
    async def message(self, message_id: int) -> Message | None:
        """See `Store.message`."""
        found = await self._first(self._messages, {"_id": message_id}, shown=UNSEEN)
        return message_from(found) if found else None

    @answering
    async def messages(self, message_ids: Collection[int]) -> Mapping[int, Message]:
        """See `Store.messages`."""
        found = self._messages.find({"_id": {"$in": list(message_ids)}}, UNSEEN)
        return {each["_id"]: message_from(each) async for each in found}

    @answering
    async def message_by_client_id(
        self, conversation_id: str, sender_id: str, client_message_id: str
    ) -> Message | None:
        """See `Store.message_by_client_id`."""
        query = {
            "conversationId": conversation_id,
            "senderId": sender_id,
            "clientMessageId": client_message_id,
        }
        found = await self._messages.find_one(query, UNSEEN)
        return message_from(found) if found else None

    @answering
    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        """See `Store.history`."""
        if limit <= 0:  # MongoDB takes 0 for no limit
            return []
        bounds = {"$gt": 0 if after is None else after}
        if before is not None:
            bounds["$lt"] = before
        forward = after is not None
        query: Document = {"conversationId": conversation_id, "seq": bounds}
        order = {"seq": 1 if forward else -1}
        page = await self._found(self._pages, query, shown=UNSEEN, sort=order, skip=offset, limit=limit)
        messages = [message_from(with_zone(dict(each))) for each in page]
        return messages if forward else messages[::-1]

    @answering
    async def tails(self, conversation_ids: Collection[str]) -> Mapping[str, Tail]:
        """See `Store.tails`. Two queries, however many there are."""
        tails = dict.fromkeys(conversation_ids, Tail())
        if not tails:
            return tails
        query: Document = {"_id": {"$in": list(tails)}}
        shown = {"version": True, "rev": True}
        counts = _by(await self._found(self._found_conversations, query, shown=shown), "_id")
        seqs = await self._aggregate(ends_of(counts))
        for where, each in counts.items():
            seq = seqs.get(where, {}).get("seq", 0)
            tails[where] = Tail(last_seq=seq, last_rev=each.get("rev", 0), version=each["version"])
        return tails

    @answering
    async def own_sent(self, conversation_id: str, user_id: str, *, up_to: int | None = None) -> int:
        """See `Store.own_sent`."""
        query: Document = {"conversationId": conversation_id, "senderId": user_id}
        if up_to is not None:
            query["seq"] = {"$lte": up_to}
        found = await self._messages.find_one(query, {"senderSeq": True}, sort=[("seq", -1)])
        if found or up_to is None:
            return int(found["senderSeq"]) if found else 0
        query["seq"] = {"$gt": up_to}  # what was removed before it still counts
        later = await self._messages.find_one(query, {"senderSeq": True}, sort=[("seq", 1)])
        return int(later["senderSeq"]) - 1 if later else 0

    # changes

    @answering
    async def change(
        self, message: Message, change: Change, *, before: str | None = None, hooks: Sequence[Hook] = ()
    ) -> Changed | None:
        """See `Store.change`."""
        return await self._changes.change(message, change, before, hooks)

    @answering
    async def changes(self, conversation_id: str, *, after: int, limit: int) -> Sequence[Change]:
        """See `Store.changes`."""
        return await self._changes.changes(conversation_id, after, limit)

    @answering
    async def rev_before(self, conversation_id: str, seq: int) -> int:
        """See `Store.rev_before`."""
        return await self._changes.rev_before(conversation_id, seq)

    @answering
    async def edits(self, message_id: int, *, limit: int, after: int | None = None) -> Sequence[Edit]:
        """See `Store.edits`."""
        return await self._changes.edits(message_id, limit, after)

    # reads

    @answering
    async def cursor(self, conversation_id: str, user_id: str) -> int:
        """See `Store.cursor`."""
        found = await self._first(self._cursors, {"conversationId": conversation_id, "userId": user_id})
        return int(found["seq"]) if found else 0

    @answering
    async def mark_read(self, mark: ReadMark, *, own_read: int, keep: bool) -> int | None:
        """See `Store.mark_read`."""
        if mark.seq <= 0:
            return None
        if keep:
            await self._keep(mark)
        query = {"conversationId": mark.conversation_id, "userId": mark.reader_id, "seq": {"$lt": mark.seq}}
        change = {"$set": {"seq": mark.seq, "ownRead": own_read}}
        try:
            before = await self._cursors.find_one_and_update(query, change, upsert=True)
        except DuplicateKeyError:
            # There is one: it was there already or further, or somebody made it just now, maybe lower.
            before = await self._cursors.find_one_and_update(query, change)
            return int(before["seq"]) if before else None
        return int(before["seq"]) if before else 0

    async def _keep(self, mark: ReadMark) -> None:
        try:
            await self._read_marks.insert_one(read_mark_document(mark))
        except DuplicateKeyError:
            pass  # the first one stays

    @answering
    async def read_marks(self, conversation_id: str, *, after: int, up_to: int) -> Sequence[ReadMark]:
        """See `Store.read_marks`."""
        if after >= up_to:
            return []
        query = {"conversationId": conversation_id, "seq": {"$gt": after}, "after": {"$lt": up_to}}
        return [read_mark_from(each) for each in await self._found(self._read_marks, query)]

    # invitations

    @answering
    async def invite(self, conversation_id: str, user_id: str, *, by: str, at: datetime) -> bool:
        """See `Store.invite`."""
        if not await self._existing([conversation_id]):
            return False
        new = {"conversationId": conversation_id, "userId": user_id, "by": by, "at": at}
        try:
            await self._invitations.insert_one(new)
        except DuplicateKeyError:
            return False
        return True

    @answering
    async def invited(self, conversation_id: str, user_id: str) -> bool:
        """See `Store.invited`."""
        query = {"conversationId": conversation_id, "userId": user_id}
        return await self._invitations.find_one(query) is not None

    @answering
    async def uninvite(self, conversation_id: str, user_id: str) -> bool:
        """See `Store.uninvite`."""
        query = {"conversationId": conversation_id, "userId": user_id}
        return (await self._invitations.delete_one(query)).deleted_count == 1

    # devices

    @answering
    async def positions(self, user_id: str, device: str) -> Mapping[str, Position] | None:
        """See `Store.positions`. One query, however many there are."""
        shown = {"conversationId": True, "seq": True, "rev": True}
        found = self._positions.find({"userId": user_id, "device": device}, shown)
        return positions_from(await found.to_list())

    async def keep_positions(
        self, user_id: str, device: str, positions: Mapping[str, Position], *, at: datetime
    ) -> None:
        """See `Store.keep_positions`. Done in part, what is left out is only sent again."""
        await self._keep_positions(user_id, device, dict(positions), at)  # the caller goes on counting

    @answering
    async def _keep_positions(
        self, user_id: str, device: str, positions: Mapping[str, Position], at: datetime
    ) -> None:
        existing = await self._existing(positions) | {INBOX}
        raised = {where: position for where, position in positions.items() if where in existing}
        await self._positions.bulk_write(raised_positions(user_id, device, raised, at), ordered=False)


def _profile_change(profile: Profile) -> Document:
    return {
        "$set": {"profile": profile_document(profile), "searchable": searchable(profile)},
        "$setOnInsert": {"status": Status.ONLINE.value},
    }


def _by(found: Sequence[Stored], key: str) -> dict[str, Stored]:
    return {each[key]: each for each in found}


def _membership(found: Stored, member: Member, end: Stored | None, own: Stored | None) -> Membership:
    conversation = conversation_from(found)
    return Membership(
        conversation=conversation,
        member=member,
        last_seq=end["seq"] if end else 0,
        last_rev=found.get("rev", 0),
        own_sent=own["senderSeq"] if own else 0,
        active_at=end["createdAt"] if end else conversation.updated_at,
    )


def _together(places: Mapping[str, list[str]]) -> Iterator[Mapping[str, list[str]]]:
    """Users and their conversations, as many as are counted in one question."""
    some: dict[str, list[str]] = {}
    count = 0
    for user_id, where in places.items():
        if some and (len(some) == _COUNTED_TOGETHER or count + len(where) > _PLACES_TOGETHER):
            yield some
            some, count = {}, 0
        some[user_id] = where
        count += len(where)
    if some:
        yield some
