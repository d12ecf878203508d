"""What the service needs from outside, each with at least two real implementations.

    Store       keeps       stores/sqlite.py      stores/mongodb.py
    Bus         tells       backplanes/memory.py  backplanes/redis.py
    Mail        carries     backplanes/memory.py  backplanes/redis.py
    Presence    knows who   backplanes/memory.py  backplanes/redis.py
    RateLimits  counts      backplanes/memory.py  backplanes/redis.py
    Capacity    counts      backplanes/memory.py  backplanes/redis.py
    Tokens      verifies    tokens.py
    Census      asks all    gateway/census.py     service/context.py

The contract suites in `tests/stores` and `tests/backplanes` hold every implementation to these words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from messaging.domain.errors import ClientError
from messaging.domain.events import Announcement, CensusTold
from messaging.domain.models import (
    Appended,
    Change,
    Changed,
    Conversation,
    Draft,
    Edit,
    Hook,
    Identity,
    Member,
    Membership,
    Message,
    Position,
    Profile,
    ReadMark,
    Receipts,
    Recovery,
    Role,
    Status,
    Tail,
    User,
    Written,
)
from messaging.service.duties import Duties
from messaging.service.finding import Finding
from messaging.service.ports_arrivals import Arrivals
from messaging.service.ports_ends import Ends
from messaging.service.ports_forgetting import Forgetting
from messaging.service.ports_inbox import Inbox
from messaging.service.ports_moderation import Moderation
from messaging.service.ports_push import Subscriptions
from messaging.service.ports_retention import Retention
from messaging.service.ports_uploads import Uploads

Clock = Callable[[], datetime]
"""Gives the time: aware UTC, whole milliseconds."""


class StoreRefused(Exception):
    """The storage cannot be used as it is set up. The text says why, and how to mend it."""


class Store(
    Arrivals,
    Duties,
    Ends,
    Finding,
    Forgetting,
    Inbox,
    Moderation,
    Retention,
    Subscriptions,
    Uploads,
    Protocol,
):
    """Keeps users, conversations, members, messages and reads; and what concerns one user alone.

    Every write is durable when its coroutine returns (MongoDB: w:majority and journalled; SQLite:
    synchronous=FULL), and is either done whole or not at all. Every read sees all writes that returned
    before it began, those of other processes included, and nothing that could still be undone.
    Raises Unavailable, within 5 seconds, when the storage cannot be reached or refuses to write.
    A cancelled write has an unknown outcome; nothing else about it is special.
    """

    async def open(self) -> None:
        """Connect, and make what is missing of tables and indexes. Idempotent.

        Raises Unavailable for what may pass, StoreRefused for what will not.
        """

    async def close(self) -> None:
        """Finish the writes under way, then let go. Idempotent."""

    async def ping(self) -> None:
        """Return if the storage answers and takes writes."""

    # users

    async def put_user(self, profile: Profile) -> bool:
        """Keep `profile` as the user's; whether this user is new. Status and last_seen stay. Where an answer
        was lost on the way, who is new may be told as known."""

    async def put_users(self, profiles: Sequence[Profile]) -> Sequence[bool]:
        """The same for many, in their order; of one user's profiles the last one stays."""

    async def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        """Those of the users that exist, by id."""

    async def find_users(self, prefix: str, *, limit: int, after: str | None = None) -> Sequence[Profile]:
        """Users whose id, or one of whose names, begins with `prefix` (case-insensitive), by rising id.

        `after` goes on behind that id.
        """

    async def set_status(self, user_id: str, status: Status) -> None:
        """Keep the status that a user chose."""

    async def set_last_seen(self, user_id: str, at: datetime) -> None:
        """Keep when a user was last connected; never moves back."""

    async def set_all_last_seen(self, seen: Mapping[str, datetime]) -> None:
        """The same for many."""

    # conversations

    async def save(
        self,
        conversation: Conversation,
        *,
        put: Sequence[Member] = (),
        remove: Collection[str] = (),
        hooks: Sequence[Hook] = (),
    ) -> bool:
        """Store a conversation and changes of its members, all or nothing, if nobody was faster.

        `conversation.version` is 1 for a new one, else the stored one's plus 1. False, and nothing is
        changed, when the stored version is another (or the new one is there already). Of a member in
        `put` who is one already only the role changes. A new member's `cursor` and `own_read` apply
        unless they had read further before. `hooks` are kept with it, all or nothing. The caller sets
        `member_count`. Invitations of those in `put` are used up by it, and of those in `remove` revoked.
        """

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation, if there is one."""

    async def conversations_among(self, conversation_ids: Collection[str]) -> Mapping[str, Conversation]:
        """Those of these conversations that are there."""

    async def delete(self, conversation_id: str, *, hooks: Sequence[Hook] = ()) -> bool:
        """Remove a conversation with its members, messages and reads; whether it was there. `hooks` are kept
        if it was, and with its going."""

    async def member(self, conversation_id: str, user_id: str) -> Member | None:
        """A user's place in a conversation, if they are a member."""

    async def roles(self, places: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Role]:
        """The roles that users have in conversations, where they are members: by conversation and user."""

    async def members(
        self, conversation_id: str, *, limit: int, role: Role | None = None
    ) -> Sequence[Member]:
        """The first members, the longest-serving first, then by id; only those with `role` where given."""

    async def memberships(self, user_id: str) -> Sequence[Membership]:
        """All conversations that the user is a member of, in no particular order."""

    async def memberships_of(self, user_ids: Collection[str]) -> Mapping[str, Sequence[Membership]]:
        """The same for each of these users; without those who are members of nothing."""

    async def membership(self, conversation_id: str, user_id: str) -> Membership | None:
        """One of them."""

    # messages

    @property
    def appends_together(self) -> int:
        """How many calls of `append` are worth being under way at the same time. What comes meanwhile waits,
        and goes together in the next one; where it is one, until all have been told of the last one."""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        """Store messages, each as the next of its conversation; one outcome per draft, in their order.

        Drafts of one conversation get rising `seq` in the order given. `seq` has no gaps, and when n can
        be read so can every one below it, also while other processes write. A draft whose
        (conversation, sender, client_message_id) is stored already, or stands earlier in the same batch,
        stores nothing and gives the first message. A draft for a conversation that does not exist (any
        more) may give RoomNotFound. One conversation's trouble does not delay or fail the others.
        A draft's id is kept, except where another message has it: then the message gets another one; so
        only a draft with a client_message_id may be appended again after Unavailable.
        Two calls at the same time are about different conversations (the committer sees to that).
        """

    async def message(self, message_id: int) -> Message | None:
        """The message, if there is one."""

    async def messages(self, message_ids: Collection[int]) -> Mapping[int, Message]:
        """Those of the messages that exist, by id."""

    async def message_by_client_id(
        self, conversation_id: str, sender_id: str, client_message_id: str
    ) -> Message | None:
        """The message that this user sent there under this client message id, if there is one."""

    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        """Messages by rising seq: the first `limit` past `after`, or the last `limit` below `before`.

        With neither: the last `limit`, after leaving out the `offset` newest. Bounds are exclusive.
        """

    async def tails(self, conversation_ids: Collection[str]) -> Mapping[str, Tail]:
        """How far each conversation has come; a conversation that does not exist has Tail()."""

    async def own_sent(self, conversation_id: str, user_id: str, *, up_to: int | None = None) -> int:
        """How many messages up to seq `up_to` (None: all) the user sent there. Does not scan messages."""

    # changes

    async def change(
        self, message: Message, change: Change, *, before: str | None = None, hooks: Sequence[Hook] = ()
    ) -> Changed | None:
        """Store what becomes of a message, as its conversation's next change; None if another was first.

        `message` is what it will be; its `rev` is the one that it had when that was decided. None, and
        nothing is changed, when its `rev` is another by now, or the message or its conversation is gone: then
        read it again and decide anew. Content, attachments, edited_at, deleted_at and reactions are replaced;
        nothing else of a message ever changes.

        Changes of one conversation get rising `rev`, without gaps, and when n can be read so can every one
        below it, also while other processes write. `before` is kept as what an edit replaced, `hooks` with
        it, all or nothing. With a deletion all that is kept of the message's earlier content goes, too.

        This is the only way by which a message changes: what is derived from its content (an index for
        searching, an export) has to follow EDITED and DELETED here, within the same transaction. Whoever
        removes messages for good removes their changes as well; the conversation's last `rev` stays.
        """

    async def changes(self, conversation_id: str, *, after: int, limit: int) -> Sequence[Change]:
        """The first `limit` changes past rev `after`, by rising rev. Of messages that were removed for good
        there are none, and so there may be gaps."""

    async def rev_before(self, conversation_id: str, seq: int) -> int:
        """The last rev that was given while the conversation ended below `seq`; 0 where there was none."""

    async def edits(self, message_id: int, *, limit: int, after: int | None = None) -> Sequence[Edit]:
        """What a message said before each edit: the last `limit`, or the first `limit` past the rev `after`;
        the oldest first."""

    # reads

    async def cursor(self, conversation_id: str, user_id: str) -> int:
        """The seq up to which the user has read, member or not; 0 where they never did."""

    async def mark_read(self, mark: ReadMark, *, own_read: int, keep: bool) -> int | None:
        """Raise the reader's cursor to `mark.seq`; where it was until then, or None when it was there or
        further already. So what lies between two cursors is newly read in one process only.

        With `keep` the mark itself is stored as well, before the cursor, so that a crash between the two
        loses nothing.
        """

    async def read_marks(self, conversation_id: str, *, after: int, up_to: int) -> Sequence[ReadMark]:
        """The kept marks that cover any message past `after`, up to `up_to`."""

    async def marks_among(
        self, conversation_ids: Collection[str], at: datetime, *, limit: int
    ) -> Sequence[ReadMark]:
        """The first `limit` kept marks in these conversations that are later than `at`, the oldest first."""

    async def mark_delivered(
        self, reached: Mapping[str, Mapping[str, int]], *, at: datetime
    ) -> Mapping[str, Mapping[str, int]]:
        """Raise up to which seq of which conversations these users have received, each for itself; where it
        was before, of those that were raised. Of two processes that raise one at the same time, both may say
        so."""

    async def authors(self, stretches: Mapping[str, tuple[int, int]]) -> Mapping[str, Sequence[Written]]:
        """Who wrote the messages past the first and up to the second seq of these conversations, by rising
        seq; without conversations where there are none."""

    async def receipts(
        self, conversation_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[Receipts]:
        """How far members have received and read, by rising user id, past user `after`. What was read was
        received."""

    # invitations

    async def invite(self, conversation_id: str, user_id: str, *, by: str, at: datetime) -> bool:
        """Keep that a user was invited; whether they were not yet."""

    async def invited(self, conversation_id: str, user_id: str) -> bool:
        """Whether a user has an invitation there."""

    async def uninvite(self, conversation_id: str, user_id: str) -> bool:
        """Revoke an invitation, used or not; whether there was one. Deleting a conversation does so too."""

    # devices

    async def positions(self, user_id: str, device: str) -> Mapping[str, Position] | None:
        """Up to where in each conversation the device is known to have everything; None for a device
        that never said so. The device "" stands for any of the user's."""

    async def keep_positions(
        self, user_id: str, device: str, positions: Mapping[str, Position], *, at: datetime
    ) -> None:
        """Raise the device's positions, and those of "" with them; neither seq nor rev goes back. What does
        not exist is left out; `ids.INBOX`, which stands for what concerns the user alone, is not."""

    # recoveries

    async def add_recoveries(self, recoveries: Sequence[Recovery]) -> None:
        """Keep what is new; what is there under the same pid stays as it is."""

    async def keep_recoveries(self, recoveries: Sequence[Recovery]) -> Collection[str]:
        """Keep `joins` and `expires_at` of these as they are now; the pids of those that are no longer their
        `owner`'s, because they ended or another took them, of which nothing is changed."""

    async def take_recovery(self, pid: str, *, user_id: str, owner: str, at: datetime) -> Recovery | None:
        """What is kept under this user's pid, unless it expired before `at`; it is `owner`'s from now on."""

    async def end_recoveries(self, owners: Mapping[str, str]) -> None:
        """Forget these pids, each if it still is this owner's."""


class Bus(Protocol):
    """Tells the other processes what happened. Only a hint: anything may be lost, doubled or late.

    The publishing process does not hear its own events. Nothing here waits for the network except `check`.
    """

    async def start(self, deliver: Callable[[Announcement], None]) -> None:
        """Begin to listen; `deliver` gets every event of a subscribed topic. EVERYBODY always is one."""

    async def close(self) -> None:
        """Stop, within a second. Idempotent."""

    def publish(self, events: Sequence[Announcement]) -> None:
        """Announce events to the other processes that subscribed to their topics. Never raises."""

    def subscribe(self, topic: str) -> Awaitable[None]:
        """Hear a topic from now on. The result can be awaited: it is done when the topic is being heard,
        or after at most 100 ms all the same."""

    def unsubscribe(self, topic: str) -> None:
        """No longer hear a topic."""

    async def check(self) -> None:
        """Return if a message sent on the bus comes back within a second; else raise Unavailable."""


class Mail(Protocol):
    """Carries letters to single processes, by their names.

    A letter arrives once or not at all, and after those that this process sent there before it. What must
    arrive is asked for again by who sent it.
    """

    @property
    def name(self) -> str:
        """The name of this process: letters and digits, another one at each start."""

    async def start(self, hear: Callable[[bytes], None]) -> None:
        """Begin to get letters; `hear` is given each."""

    async def send(self, to: str, letter: bytes) -> bool:
        """Whether a process of that name is there; then it was sent the letter.

        Raises Unavailable, within a second, when that cannot be told.
        """

    def post(self, to: str, letter: bytes) -> None:
        """Send a letter without waiting whether anybody is there. Never raises."""

    async def close(self) -> None:
        """Stop, within a second. Idempotent."""


class Presence(Protocol):
    """Knows which users are where, over all processes.

    A place is a name: `ONLINE` for having a connection at all, or a conversation's id for watching it.
    Each process says only when its first connection of a user enters and its last one leaves a place.
    A process that dies takes its users out of all places within 60 seconds.
    Without contact to the other processes, answers are those of this process alone.
    """

    async def start(self, lost: Callable[[str, str], None]) -> None:
        """Begin. `lost(place, user_id)` is called, in one process, for each user whom a dead process left
        behind in a place where no living one has them."""

    async def close(self) -> None:
        """Take all of this process's users out of all places, within 2 seconds. Idempotent."""

    async def enter(self, place: str, user_id: str) -> bool:
        """The user is here; whether they were nowhere there before (no process had them)."""

    async def leave(self, place: str, user_id: str) -> bool:
        """The user is no longer here; whether no other process has them there."""

    async def among(self, place: str, user_ids: Collection[str]) -> frozenset[str]:
        """Which of these users are there."""

    async def everybody(self, place: str, *, limit: int) -> Sequence[str]:
        """Users who are there, in no particular order."""


class Census(Protocol):
    """Knows who is connected, over all processes that answer in time."""

    async def take(
        self, *, user_id: str | None = None, after: str | None = None, limit: int = 0
    ) -> Sequence[CensusTold]:
        """What each process says: what it is, and its first `limit` connections past the one with the id
        `after`, by id; of one user where given. Takes at most 3 seconds."""


ONLINE = ""
"""The place of users who have a connection at all."""


class RateLimits(Protocol):
    """Counts what users do, over all processes. Falls back to counting alone when the others are away.

    A budget is a set of rules, such as `10/minute;100/hour`, known by its name.
    """

    async def take(self, budget: str, key: str) -> float:
        """Count one and return 0.0; or count nothing and return after how many seconds to try again.

        Takes at most 50 ms.
        """

    def take_at_once(self, budget: str, key: str) -> bool:
        """The same without waiting. False: nothing was counted, because there have been too many or others
        have to be asked; `take` says."""

    def give_back(self, budget: str, key: str) -> None:
        """Uncount one that turned out not to be used."""


class Capacity(Protocol):
    """Counts what users and addresses have at the moment, over all processes: connections.

    What a process had that died stops counting within 10 seconds. Counts alone when the others are away.
    """

    async def take(self, kind: str, key: str, limit: int) -> bool:
        """Count one more; or count nothing and return False, when there would be more than `limit`.

        Takes at most 50 ms.
        """

    def give_back(self, kind: str, key: str) -> None:
        """Count one less."""


class Tokens(Protocol):
    """Verifies JSON Web Tokens (RFC 7519)."""

    async def verify(self, token: str) -> Identity:
        """Who the token says its bearer is; raises AuthFailed for any token that is not good now, Unavailable
        while that cannot be known."""
