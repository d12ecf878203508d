"""What a command answers to the one who asked, in terms of the domain and of no wire format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from messaging.domain.commands import ExportForm
from messaging.domain.events import MessageChange, MessagesRead
from messaging.domain.forgetting import Record
from messaging.domain.models import (
    ConnectionView,
    Conversation,
    ConversationView,
    Edit,
    Identity,
    MessageView,
    Notification,
    Position,
    ProcessView,
    Profile,
    Receipts,
    Status,
)
from messaging.domain.moderation import BlockView, Report, ReportView
from messaging.domain.pushing import Subscription
from messaging.domain.uploads import Upload
from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It was carried out and there is nothing to say about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The conversation is watched.

    `messages` is a first page of what came before, oldest first; with `after` there may be more up to
    `last_seq` than fit in it: then `missing` is true and the rest is loaded after it, page by page. Up to
    `last_rev` the messages show all changes.
    `online` is who is online there, the caller included, where the command asked for it.
    """

    conversation: Conversation
    messages: tuple[MessageView, ...] = ()
    has_more: bool = False
    missing: bool = False
    last_seq: int = 0
    last_rev: int = 0
    online: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The conversation is no longer watched."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The message is stored. `repeated`: it was there already, under the same client message id."""

    conversation: Conversation
    view: MessageView
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMessage:
    """The message as it is now. `repeated`: it was so before, and nobody but the asker hears of it again."""

    view: MessageView
    event: MessageChange
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EditList:
    """What a message said before each of its last edits, the oldest first."""

    message_id: int
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptList:
    """A page of the other members by id: up to where they have received, and up to where read."""

    seq: int
    receipts: tuple[Receipts, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """A page of messages, oldest first. `conversation` is None while two users have none yet."""

    conversation: Conversation | None
    with_user: str | None = None
    messages: tuple[MessageView, ...] = ()
    has_more: bool = False
    last_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of messages of any conversations, the newest first; `next` asks for the following one."""

    messages: tuple[MessageView, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationExport:
    """A conversation, whose `pages` are read while they are taken: by rising seq, up to what was there `at`
    that time. A page may raise a ClientError instead; then what was taken is not all."""

    view: ConversationView
    form: ExportForm
    at: datetime
    pages: AsyncIterator[tuple[MessageView, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserExport:
    """All that is kept of a user, read while it is taken, as a ConversationExport is."""

    user_id: str
    at: datetime
    pages: AsyncIterator[tuple[Record | MessageView, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """The cursors are where they were asked to be, but for some of several that could not be moved.

    `total_unread` is None where the command did not ask for it, or it could not be had. `again` tells what
    had been read before already: nobody else hears of it a second time.
    """

    total_unread: int | None = None
    again: tuple[MessagesRead, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationList:
    """A page of the user's conversations; `next` asks for the following one."""

    conversations: tuple[ConversationView, ...]
    total_unread: int
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationReply:
    """One conversation, and whether this command made it."""

    view: ConversationView
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineUsers:
    """Ids of the users who are online in a conversation, at most 1,000."""

    conversation_id: str
    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReply:
    """One user; `private` where the e-mail address may be shown."""

    profile: Profile
    private: bool = False
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """A page of users."""

    profiles: tuple[Profile, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatus:
    """What others may know of a user's presence."""

    user_id: str
    status: Status
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """The new token is good."""

    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeted:
    """The device is known under this name from now on."""

    user_id: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What came while a device was away, oldest first; `more` when there was more than is kept ready.

    `changes` are what became of messages that the device has: `messages` are as they are now.
    `positions` says, by conversation, up to where nothing is left out after it; under INBOX, up to which
    position of the user's own.
    """

    user_id: str
    messages: tuple[tuple[Conversation, MessageView], ...]
    notifications: tuple[Notification, ...] = ()
    changes: tuple[MessageChange, ...] = ()
    more: bool
    positions: tuple[tuple[str, Position], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactList:
    """The contacts who are not offline."""

    statuses: tuple[UserStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationReply:
    """A notification that was made, or had been, under this id."""

    notification: Notification
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationList:
    """A page of the user's notifications; `next` asks for the following one, `unread` counts all of them."""

    notifications: tuple[Notification, ...]
    unread: int
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsMarked:
    """They are marked read; so many others are not."""

    unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReply:
    """A block, and whether this command made it."""

    view: BlockView
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockList:
    """A page of a user's blocks."""

    blocks: tuple[BlockView, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReply:
    """A report, and whether this command made it."""

    report: Report
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportList:
    """A page of all reports."""

    reports: tuple[ReportView, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushKey:
    """The server's key in base64url; None where it does not push."""

    public_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionReply:
    """A browser that is pushed to, and whether it was not yet, for this user."""

    subscription: Subscription
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The answer to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionList:
    """A page of connections over all processes that answered; `next` asks for the following one."""

    connections: tuple[ConnectionView, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The processes that answered, this one included."""

    processes: tuple[ProcessView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadReply:
    """An upload."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLink:
    """A path from the server's root that shows an upload, and until when."""

    path: str
    expires_at: datetime


Reply = (
    Done
    | Joined
    | Left
    | Sent
    | ChangedMessage
    | EditList
    | ReceiptList
    | HistoryPage
    | Found
    | ConversationExport
    | UserExport
    | Marked
    | ConversationList
    | ConversationReply
    | OnlineUsers
    | UserReply
    | UserList
    | UserStatus
    | Authenticated
    | Greeted
    | Missed
    | ContactList
    | NotificationReply
    | NotificationList
    | NotificationsMarked
    | BlockReply
    | BlockList
    | ReportReply
    | ReportList
    | PushKey
    | SubscriptionReply
    | Pong
    | ConnectionList
    | Stats
    | UploadReply
    | UploadLink
)
