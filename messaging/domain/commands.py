"""What somebody can ask: one frozen class per command, in terms of the domain and of no wire format.

A dialect turns a frame into one of these; `service.HANDLERS` names the function that carries it out.
Everything in here has been checked for form (types, lengths, ids), nothing for sense or permission.
"""

from __future__ import annotations

from enum import StrEnum

from messaging.domain.models import Attachment, ContentType, Identity, Kind, Profile, Role, Status
from messaging.domain.uploads import Upload
from messaging.domain.values import dataclass

MAX_PAGE = 200
"""How many messages one page of history has at the most."""
DEFAULT_PAGE = 50
DEFAULT_FOUND = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks, and from where.

    `service` is true only where services may act for the host application, `admin` only where administrators
    may (REST). `device` names the
    connection's device where its dialect has such names; `resumes` the one that it is, too, when another
    connection, maybe a dead one, still has that name. `budget` is the rate limit that counts its sends.
    `connection` tells this process's connections apart; empty for a request without one.
    """

    identity: Identity
    service: bool = False
    admin: bool = False
    device: str | None = None
    resumes: str | None = None
    budget: str = "messages"
    connection: str = ""

    @property
    def user_id(self) -> str:
        """The id of the user who asks."""
        return self.identity.profile.id


# --- taking part -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConversation:
    """Watch a conversation from here on; get its last `limit` messages first, or all past `after`.

    `create` makes a public room of that name where there is none; `show_online` asks who is there, too.
    """

    conversation_id: str
    limit: int = DEFAULT_PAGE
    after: int | None = None
    create: bool = False
    show_online: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveConversation:
    """Stop watching a conversation on this connection. Membership stays."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    """Say something in a conversation, or to a user: exactly one of `conversation_id` and `to_user`.

    `sender_id` and `system` are for services, which speak for others.
    """

    conversation_id: str | None = None
    to_user: str | None = None
    content: str = ""
    content_type: ContentType = ContentType.TEXT
    attachments: tuple[Attachment, ...] = ()
    reply_to: int | None = None
    client_message_id: str | None = None
    sender_id: str | None = None
    system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTyping:
    """Show, or no longer show, the others that the user is typing; in a conversation or to a user."""

    conversation_id: str | None = None
    to_user: str | None = None
    active: bool
    seconds: int = 30
    """After how long without another signal the typing ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRead:
    """Move the user's cursors up to these messages; `count_unread` asks for the total afterwards."""

    message_ids: tuple[int, ...]
    count_unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkConversationRead:
    """Move the user's cursor to a conversation's end; `count_unread` asks for the total afterwards."""

    conversation_id: str
    count_unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """Choose what others see: online, away, busy, or offline (invisible)."""

    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Go on with a new token for the same user."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Greet:
    """A device is connected: greet it, and tell the user's other devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What came while the device was away, in all of the user's conversations: past message `after`, else
    past the device's last position, else past that of any of the user's devices."""

    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Ask for nothing but an answer."""


# --- changing what was said --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMessage:
    """Say something else instead."""

    message_id: int
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMessage:
    """Take back what a message says. Its place in the conversation stays."""

    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReaction:
    """Put an emoji on a message, or take one's own back. Where a place is named, the message must be there:
    in a conversation, or in that with a user."""

    message_id: int
    emoji: str
    present: bool
    conversation_id: str | None = None
    to_user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEdits:
    """What a message said before it was edited."""

    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReceipts:
    """Whom a message has reached, and who has read it; `next` goes on from an earlier answer."""

    message_id: int
    limit: int = DEFAULT_PAGE
    next: str | None = None


# --- looking -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadHistory:
    """A page of a conversation (or of the direct one with a user), by seq or counted back from its end.

    `before` and `after` are exclusive and not given together; `offset` leaves out that many of the newest.
    """

    conversation_id: str | None = None
    with_user: str | None = None
    before: int | None = None
    after: int | None = None
    offset: int = 0
    limit: int = DEFAULT_PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchMessages:
    """Messages with all the words of `query`, the newest first; `next` goes on from an earlier answer.

    In one conversation, or in all that the user is a member of.
    """

    query: str
    conversation_id: str | None = None
    limit: int = DEFAULT_FOUND
    next: str | None = None


class ExportForm(StrEnum):
    """In what form a conversation leaves the house: for programs, for spreadsheets, for people."""

    JSONL = "jsonl"
    CSV = "csv"
    HTML = "html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConversation:
    """All messages of a conversation, up to now."""

    conversation_id: str
    form: ExportForm = ExportForm.JSONL


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportUser:
    """All that is kept of a user; for themselves and for services."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseUser:
    """Forget a user, and with `messages` what they said; for services."""

    user_id: str
    messages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConversations:
    """The user's conversations, the most recently active first; `next` goes on from an earlier answer."""

    limit: int = DEFAULT_PAGE
    next: str | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GetConversation:
    """One conversation."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOnlineUsers:
    """Who of a conversation is online; of a public room, who watches it."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetUser:
    """One user's profile."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindUsers:
    """Users whose id or one of whose names begins with `query`."""

    query: str
    limit: int = DEFAULT_PAGE
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetStatus:
    """Whether a contact is online."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListContacts:
    """The status of each contact who is not offline."""


# --- making and changing -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConversation:
    """Make a group (its id is made here), or the public room called `name`."""

    kind: Kind
    name: str | None = None
    private: bool = False
    member_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutConversation:
    """Make or update a conversation under the host application's own id; for services.

    What is None stays as it is; members are added, nobody is removed.
    """

    conversation_id: str
    kind: Kind = Kind.GROUP
    name: str | None = None
    private: bool | None = None
    retention_days: int | None = None
    member_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeConversation:
    """Rename a conversation, change whether it is private, or after how many days messages are removed.

    0 days: when the operator says so. None leaves as it is.
    """

    conversation_id: str
    name: str | None = None
    private: bool | None = None
    retention_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteConversation:
    """Delete a group or room with all that is in it."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutMember:
    """Add a user to a group, or change a member's role."""

    conversation_id: str
    user_id: str
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember:
    """Take a user out of a group; oneself: leave it."""

    conversation_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteMember:
    """Let a user join a group by themselves, and tell them so."""

    conversation_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptInvitation:
    """Join a group that one was invited to."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutUser:
    """Make a user known, or replace their profile; for services."""

    profile: Profile


# --- administration ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConnections:
    """Who is connected, over all processes; of one user where given."""

    user_id: str | None = None
    limit: int = DEFAULT_PAGE
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetStats:
    """How many connections each process has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectUser:
    """End all of a user's connections; `revoke` refuses the tokens that they were issued up to now, too."""

    user_id: str
    revoke: bool = True


# --- what concerns the user alone --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetArchived:
    """Put a conversation away, or take it back. A new message takes it back by itself, unless it is muted."""

    conversation_id: str
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMuted:
    """Be no longer told of a conversation's messages, or again: it does not count in the total of unread
    messages, and nothing is pushed."""

    conversation_id: str
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUnread:
    """Mark a conversation unread by hand, until something is marked read there. Cursors do not move."""

    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell a user something; for services. `data` is the text of a JSON object. Under an `id` of the
    service's own the same user is told once, however often it is asked."""

    user_id: str
    id: str | None = None
    type: str
    title: str | None = None
    body: str | None = None
    data: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNotifications:
    """The user's notifications, the newest first; `unread` leaves out those that were marked read."""

    limit: int = DEFAULT_PAGE
    next: str | None = None
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkNotificationsRead:
    """Mark these notifications read; with None, all that there are."""

    ids: tuple[str, ...] | None


# --- what users do about one another -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockUser:
    """Have nothing to do with a user any more."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnblockUser:
    """End that."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBlocks:
    """Whom the user has blocked."""

    limit: int = DEFAULT_PAGE
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportMessage:
    """Tell the operators of a message."""

    message_id: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReports:
    """All reports, the newest first; for services and administrators."""

    limit: int = DEFAULT_PAGE
    next: str | None = None


# --- Web Push ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GetPushKey:
    """The server's key, which a browser needs to subscribe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribePush:
    """Push to the browser that has this address and these keys (base64url)."""

    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribePush:
    """Push no longer to this address."""

    endpoint: str


# --- uploads -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginUpload:
    """Make room for a file that is about to come, of so many bytes at most."""

    file_name: str
    at_most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishUpload:
    """A file has come, and is what `upload` says of it."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonUpload:
    """A file did not come after all."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetUpload:
    """An upload, to read it."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GetUploadLink:
    """A link to an upload for where no token can be sent along."""

    upload_id: str


Command = (
    JoinConversation
    | LeaveConversation
    | SendMessage
    | SetTyping
    | MarkRead
    | MarkConversationRead
    | SetStatus
    | Authenticate
    | Greet
    | CatchUp
    | Ping
    | EditMessage
    | DeleteMessage
    | SetReaction
    | ListEdits
    | ListReceipts
    | LoadHistory
    | SearchMessages
    | ExportConversation
    | ExportUser
    | EraseUser
    | ListConversations
    | GetConversation
    | ListOnlineUsers
    | GetUser
    | FindUsers
    | GetStatus
    | ListContacts
    | CreateConversation
    | PutConversation
    | ChangeConversation
    | DeleteConversation
    | PutMember
    | RemoveMember
    | InviteMember
    | AcceptInvitation
    | PutUser
    | ListConnections
    | GetStats
    | DisconnectUser
    | SetArchived
    | SetMuted
    | MarkUnread
    | Notify
    | ListNotifications
    | MarkNotificationsRead
    | BlockUser
    | UnblockUser
    | ListBlocks
    | ReportMessage
    | ListReports
    | GetPushKey
    | SubscribePush
    | UnsubscribePush
    | BeginUpload
    | FinishUpload
    | AbandonUpload
    | GetUpload
    | GetUploadLink
)
