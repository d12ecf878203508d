"""The store in one SQLite file, for one server process.

    SqliteStore                       this file: the port's coroutines, each one job for a thread
    sqlite_base                       the threads, from opening to closing
    sqlite_thread                     carries jobs out, many in one transaction
    sqlite_reads, _writes, _changes   the jobs
    sqlite_search                     the jobs of searching
    sqlite_rows                       rows as domain values
    sqlite_schema                     tables, opening, the lock file

One thread writes and waits for the disk; another reads meanwhile, on its own connection (WAL); and a third
searches, so that nobody's history waits for somebody's search.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from messaging.domain.errors import ClientError
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
    Receipts,
    Role,
    Status,
    Tail,
    User,
    Written,
)
from messaging.stores import sqlite_changes as changes
from messaging.stores import sqlite_reads as reads
from messaging.stores import sqlite_writes as writes
from messaging.stores.sqlite_arrivals import SqliteArrivals
from messaging.stores.sqlite_duties import SqliteDuties
from messaging.stores.sqlite_ends import SqliteEnds
from messaging.stores.sqlite_finding import SqliteFinding
from messaging.stores.sqlite_forgetting import SqliteForgetting
from messaging.stores.sqlite_inbox import SqliteInbox
from messaging.stores.sqlite_moderation import SqliteModeration
from messaging.stores.sqlite_push import SqlitePush
from messaging.stores.sqlite_recoveries import SqliteRecoveries
from messaging.stores.sqlite_retention import SqliteRetention
from messaging.stores.sqlite_schema import DatabaseRefused
from messaging.stores.sqlite_uploads import SqliteUploads

__all__ = ["DatabaseRefused", "SqliteStore"]


class SqliteStore(
    SqliteArrivals,
    SqliteDuties,
    SqliteEnds,
    SqliteFinding,
    SqliteForgetting,
    SqliteInbox,
    SqliteModeration,
    SqlitePush,
    SqliteRecoveries,
    SqliteRetention,
    SqliteUploads,
):
    """`Store` (messaging.service.ports) in the file `path`, or in memory with ":memory:".

    `open` raises DatabaseRefused when another process has the file, or it cannot be used at all.
    """

    async def ping(self) -> None:
        await self._write(writes.ping)
        await self._read(reads.last_seq, "")

    # users

    async def put_user(self, profile: Profile) -> bool:
        return await self._write(writes.put_user, profile)

    async def put_users(self, profiles: Sequence[Profile]) -> Sequence[bool]:
        return await self._write(writes.put_users, profiles)

    async def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        return await self._read(reads.users, user_ids)

    async def find_users(self, prefix: str, *, limit: int, after: str | None = None) -> Sequence[Profile]:
        return await self._read(reads.find_users, prefix, limit, after)

    async def set_status(self, user_id: str, status: Status) -> None:
        await self._write(writes.set_status, user_id, status)

    async def set_last_seen(self, user_id: str, at: datetime) -> None:
        await self._write(writes.set_last_seen, {user_id: at})

    async def set_all_last_seen(self, seen: Mapping[str, datetime]) -> None:
        await self._write(writes.set_last_seen, seen)

    # conversations

    async def save(
        self,
        conversation: Conversation,
        *,
        put: Sequence[Member] = (),
        remove: Collection[str] = (),
        hooks: Sequence[Hook] = (),
    ) -> bool:
        return await self._write(writes.save, conversation, put, remove, hooks)

    async def conversation(self, conversation_id: str) -> Conversation | None:
        return await self._read(reads.conversation, conversation_id)

    async def conversations_among(self, conversation_ids: Collection[str]) -> Mapping[str, Conversation]:
        return await self._read(reads.conversations_among, tuple(conversation_ids))

    async def delete(self, conversation_id: str, *, hooks: Sequence[Hook] = ()) -> bool:
        return await self._write(writes.delete, conversation_id, hooks)

    async def member(self, conversation_id: str, user_id: str) -> Member | None:
        return await self._read(reads.member, conversation_id, user_id)

    async def roles(self, places: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Role]:
        return await self._read(reads.roles, tuple(places))

    async def members(
        self, conversation_id: str, *, limit: int, role: Role | None = None
    ) -> Sequence[Member]:
        return await self._read(reads.members, conversation_id, limit, role)

    async def memberships(self, user_id: str) -> Sequence[Membership]:
        return (await self._read(reads.memberships, [user_id])).get(user_id, [])

    async def memberships_of(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Membership]]:
        return await self._read(reads.memberships, user_ids)

    async def membership(self, conversation_id: str, user_id: str) -> Membership | None:
        return await self._read(reads.membership, conversation_id, user_id)

    # messages

    @property
    def appends_together(self) -> int:
        """One: there is one thread that writes, and a transaction costs more than what is in it."""
        return 1

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        self._index_with_next()
        outcomes = await self._write(writes.append, drafts)
        self._index_later(len(drafts))
        return outcomes

    async def message(self, message_id: int) -> Message | None:
        return await self._read(reads.message, message_id)

    async def messages(self, message_ids: Collection[int]) -> Mapping[int, Message]:
        return await self._read(reads.messages, message_ids)

    async def message_by_client_id(
        self, conversation_id: str, sender_id: str, client_message_id: str
    ) -> Message | None:
        return await self._read(reads.message_by_client_id, conversation_id, sender_id, client_message_id)

    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        if after is not None:
            return await self._read(reads.history_after, conversation_id, after, limit)
        if before is not None:
            return await self._read(reads.history_before, conversation_id, before, limit)
        return await self._read(reads.history_last, conversation_id, offset, limit)

    async def tails(self, conversation_ids: Collection[str]) -> Mapping[str, Tail]:
        return await self._read(reads.tails, conversation_ids)

    async def own_sent(self, conversation_id: str, user_id: str, *, up_to: int | None = None) -> int:
        return await self._read(reads.own_sent, conversation_id, user_id, up_to)

    # changes

    async def change(
        self, message: Message, change: Change, *, before: str | None = None, hooks: Sequence[Hook] = ()
    ) -> Changed | None:
        changed = await self._write(changes.change, message, change, before, hooks)
        self._index_later(1)
        return changed

    async def changes(self, conversation_id: str, *, after: int, limit: int) -> Sequence[Change]:
        return await self._read(changes.changes, conversation_id, after, limit)

    async def rev_before(self, conversation_id: str, seq: int) -> int:
        return await self._read(changes.rev_before, conversation_id, seq)

    async def edits(self, message_id: int, *, limit: int, after: int | None = None) -> Sequence[Edit]:
        return await self._read(changes.edits, message_id, limit, after)

    # reads

    async def cursor(self, conversation_id: str, user_id: str) -> int:
        return await self._read(reads.cursor, conversation_id, user_id)

    async def mark_read(self, mark: ReadMark, *, own_read: int, keep: bool) -> int | None:
        return await self._write(writes.mark_read, mark, own_read, keep)

    async def read_marks(self, conversation_id: str, *, after: int, up_to: int) -> Sequence[ReadMark]:
        return await self._read(reads.read_marks, conversation_id, after, up_to)

    async def mark_delivered(
        self, reached: Mapping[str, Mapping[str, int]], *, at: datetime
    ) -> Mapping[str, Mapping[str, int]]:
        copied = {conversation_id: dict(cursors) for conversation_id, cursors in reached.items()}
        return await self._write(writes.mark_delivered, copied, at)

    async def authors(self, stretches: Mapping[str, tuple[int, int]]) -> Mapping[str, Sequence[Written]]:
        return await self._read(reads.authors, dict(stretches))

    async def receipts(
        self, conversation_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[Receipts]:
        return await self._read(reads.receipts, conversation_id, after, limit)

    # invitations

    async def invite(self, conversation_id: str, user_id: str, *, by: str, at: datetime) -> bool:
        return await self._write(writes.invite, conversation_id, user_id, by, at)

    async def invited(self, conversation_id: str, user_id: str) -> bool:
        return await self._read(reads.invited, conversation_id, user_id)

    async def uninvite(self, conversation_id: str, user_id: str) -> bool:
        return await self._write(writes.uninvite, conversation_id, user_id)

    # devices

    async def positions(self, user_id: str, device: str) -> Mapping[str, Position] | None:
        return await self._read(reads.positions, user_id, device)

    async def keep_positions(
        self, user_id: str, device: str, positions: Mapping[str, Position], *, at: datetime
    ) -> None:
        # A copy: the caller may go on counting while this waits for the thread.
        await self._write(writes.keep_positions, user_id, device, dict(positions), at)
