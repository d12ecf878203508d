"""What is kept: users, conversations, members, messages. Frozen values without behaviour of their own.

All times are aware UTC with whole milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from messaging.domain import ids
from messaging.domain.values import dataclass


class Kind(StrEnum):
    """The kinds of conversation: two users; members only; public."""

    DIRECT = "direct"
    GROUP = "group"
    ROOM = "room"


_DIRECT = Kind.DIRECT  # by a name: Python 3.11 takes several times as long for an enumeration's attribute


class Role(StrEnum):
    """What a member is in a group. Both sides of a direct conversation are members."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Status(StrEnum):
    """What a user lets others see; `offline` while connected means invisible."""

    ONLINE = "online"
    AWAY = "away"
    BUSY = "busy"
    OFFLINE = "offline"


class ContentType(StrEnum):
    """What a message's content is."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    FILE = "file"


class Author(StrEnum):
    """Who speaks in a message: a user, or the server or a service."""

    USER = "USER"
    SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A user as their token or a service describes them. `email` is shown to nobody but themselves."""

    id: str
    username: str | None = None
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    salon_name: str | None = None
    image: str | None = None
    role: str = "user"
    email: str | None = None

    @property
    def display_name(self) -> str:
        """`name`, else first and last name, else `salonName`, else `username`, else the id; never empty."""
        full = " ".join(part for part in (self.first_name, self.last_name) if part)
        return self.name or full or self.salon_name or self.username or self.id

    @property
    def short_name(self) -> str:
        """`username`, else what `display_name` gives; never empty."""
        return self.username or self.display_name


SYSTEM = Profile(id=ids.SYSTEM_USER, role="system")
"""The sender of system messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What is stored of a user: the profile, the status they chose, and when they were last connected."""

    profile: Profile
    status: Status = Status.ONLINE
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a verified token says that its bearer is, and what else it lets them do."""

    profile: Profile
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    """When the token ends, leeway included; None for a token without an end."""
    service: bool = False
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation without its messages. `version` rises with every change to it or its members.

    `retention_days` is after how long messages are removed for good; 0: when the operator says so. Up to
    `removed_seq` they have been: saving a conversation changes nothing of that.
    """

    id: str
    kind: Kind
    name: str | None = None
    private: bool = False
    created_at: datetime
    updated_at: datetime
    version: int = 1
    member_count: int = 0
    retention_days: int = 0
    removed_seq: int = 0

    @property
    def direct_members(self) -> tuple[str, str] | None:
        """Both users of a direct conversation; None for any other kind."""
        return ids.direct_members(self.id) if self.kind is _DIRECT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One user's place in a conversation.

    `cursor` is the seq up to which they have read. `own_read` is how many of the messages up to the cursor
    are their own: with it, unread messages are counted by subtraction, without looking at messages.
    `archived_at` is the conversation's last seq when they archived it, `unread_at` their cursor when they
    marked it unread by hand. A message, or reading on, ends either without anything being written.
    """

    conversation_id: str
    user_id: str
    role: Role = Role.MEMBER
    joined_at: datetime
    cursor: int = 0
    own_read: int = 0
    muted: bool = False
    archived_at: int | None = None
    unread_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user's place in a conversation, together with the conversation and its end."""

    conversation: Conversation
    member: Member
    last_seq: int
    last_rev: int = 0
    own_sent: int
    """How many of the conversation's messages are the member's own."""
    active_at: datetime
    """When the last message was sent; before the first, when the conversation was last changed."""

    @property
    def unread(self) -> int:
        """Messages of others past the cursor, and at least 1 where the user marked it unread; always 0 in a
        public room, which has no unread counts."""
        if self.conversation.kind is Kind.ROOM:
            return 0
        past = (self.last_seq - self.member.cursor) - (self.own_sent - self.member.own_read)
        return max(int(self.marked_unread), past)

    @property
    def marked_unread(self) -> bool:
        """Whether the user marked it unread by hand, and has read nothing there since."""
        return self.member.unread_at == self.member.cursor

    @property
    def archived(self) -> bool:
        """Whether it is put away: until there is a new message, or for good while it is muted."""
        end = self.member.archived_at
        return end is not None and (self.member.muted or self.last_seq <= end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that belongs to a message. `file_size` in bytes, `duration` in seconds."""

    id: str
    url: str
    file_name: str
    file_size: int = 0
    mime_type: str | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """One emoji on a message and who put it there, in that order; and how many `others`, where not all of
    them are told."""

    emoji: str
    user_ids: tuple[str, ...]
    others: int = 0

    @property
    def count(self) -> int:
        """How many users put it there."""
        return len(self.user_ids) + self.others

    def first(self, number: int) -> Reaction:
        """The same with the first users only."""
        if len(self.user_ids) <= number:
            return self
        return Reaction(emoji=self.emoji, user_ids=self.user_ids[:number], others=self.count - number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message that is about to be stored: everything but its place in the conversation."""

    id: int
    conversation_id: str
    sender_id: str
    author: Author = Author.USER
    content_type: ContentType = ContentType.TEXT
    content: str
    attachments: tuple[Attachment, ...] = ()
    reply_to: int | None = None
    client_message_id: str | None = None
    device: str | None = None
    """The device that it came from, where the sender's dialect names devices."""
    created_at: datetime
    hook: str | None = None
    """Not None: the webhook is to be told of it, under this trace context (W3C traceparent) or none ("")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of a draft. `repeated`: it had been stored before, and this is the first one."""

    message: Message
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. `seq` is its place in the conversation: 1, 2, 3, … without gaps.

    `sender_seq` counts the sender's own messages in the conversation, this one included. `rev` is 0 until
    the message is changed for the first time; then it is the conversation's revision of the last change.
    """

    id: int
    conversation_id: str
    seq: int
    sender_id: str
    sender_seq: int
    author: Author = Author.USER
    content_type: ContentType = ContentType.TEXT
    content: str
    attachments: tuple[Attachment, ...] = ()
    reply_to: int | None = None
    client_message_id: str | None = None
    device: str | None = None
    created_at: datetime
    rev: int = 0
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    reactions: tuple[Reaction, ...] = ()


class ChangeKind(StrEnum):
    """What can be done to a message after it was sent."""

    EDITED = "edited"
    DELETED = "deleted"
    REACTED = "reacted"
    UNREACTED = "unreacted"
    """A reaction was taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody did to a message. `rev` counts the changes in a conversation: 1, 2, 3, … without gaps.

    `emoji` belongs to reactions. `last_seq` is where the conversation ended then. `rev` and `last_seq` are 0
    until the change is stored.
    """

    conversation_id: str
    message_id: int
    kind: ChangeKind
    user_id: str
    emoji: str | None = None
    at: datetime
    rev: int = 0
    last_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A change that was stored, and the message as it is since."""

    message: Message
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a message said until it was edited, by whom, and when; and under which `rev` that was."""

    content: str
    user_id: str
    at: datetime
    rev: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """A message as readers see it: with its sender, and when somebody else first read it."""

    message: Message
    sender: Profile
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMark:
    """Reader `reader_id` read the messages past `after` up to `seq`, at `at`.

    Marks are kept only where they can be somebody's first: a message is read at the earliest `at` of the
    marks that cover it, its sender's own not counted.
    """

    conversation_id: str
    reader_id: str
    after: int
    seq: int
    at: datetime


class Position(NamedTuple):
    """Up to where somebody has everything of a conversation: messages by `seq`, their changes by `rev`."""

    seq: int = 0
    rev: int = 0

    def raised_to(self, other: Position) -> Position:
        """The further of the two, in both respects."""
        return Position(max(self.seq, other.seq), max(self.rev, other.rev))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Whose message stands where in a conversation."""

    id: int
    seq: int
    sender_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Up to which seq of a conversation a member has received, and up to which they have read."""

    user_id: str
    delivered: int
    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """How far a conversation has come: its last seq, its last revision, its version. All zero: not there."""

    last_seq: int = 0
    last_rev: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a Socket.IO client finds again that lost its connection, by its private `pid`.

    `owner` is the connection that has it: another one takes it over when the client comes back. `joins` are
    the conversations that it has joined, each with the seq past which it hears them.
    """

    pid: str
    owner: str
    user_id: str
    dialect: str
    sid: str
    joins: tuple[tuple[str, int], ...] = ()
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something that a user is told besides messages. `data` is the text of a JSON object.

    `position` counts what concerns that user alone, this included; 0 until it is stored.
    """

    id: str
    type: str
    title: str | None = None
    body: str | None = None
    data: str = "{}"
    created_at: datetime
    position: int = 0
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of a notification that was to be kept; `repeated` where the user had one under that id."""

    notification: Notification
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """A member as others see them."""

    profile: Profile
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationView:
    """A conversation as a list shows it. `members` is None where there are too many to show.

    `mine` belongs to the asking user alone and is None in what goes to everybody.
    """

    conversation: Conversation
    last_seq: int
    last_message: MessageView | None = None
    members: tuple[MemberView, ...] | None = None
    mine: Membership | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """That a user was sent away. `number` rises with every disconnection of anybody; of one user only the
    last is kept. Their tokens that were issued up to `revoked_before` are refused; None: all stay good."""

    user_id: str
    number: int
    revoked_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Something that the webhook is to be told, at least once, in the order of its lane.

    `type` is such as `message.created`, `data` a JSON object. What is told of a message is told as the
    message is by then, which `message_id` names and `message` is; `data` adds to it.
    """

    id: int
    lane: str
    """Mostly a conversation's id: what happens there is told in order."""
    type: str
    at: datetime
    data: str = "{}"
    message_id: int | None = None
    message: Message | None = None
    trace: str = ""
    """The trace context (W3C traceparent) in which it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionView:
    """One open connection, as administrators see it. `id` says where it stands in a list of all of them."""

    id: str
    user_id: str
    process: str
    dialect: str
    address: str
    device: str | None = None
    connected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One server process, as administrators see it. `users` are those with a connection there."""

    id: str
    started_at: datetime
    users: int = 0
    connections: tuple[tuple[str, int], ...] = ()
    """How many there are of each dialect."""
