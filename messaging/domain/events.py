"""What happened: one frozen class per kind of event, with all that any dialect needs to tell it.

An event about a conversation goes to whoever watches or follows it; one about a user, to that user's
connections. None of them carries anything that differs from one recipient to the next.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from messaging.domain.models import (
    ConnectionView,
    Conversation,
    ConversationView,
    Message,
    Notification,
    ProcessView,
    Profile,
    Status,
)
from messaging.domain.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent:
    """A message was stored."""

    conversation: Conversation
    message: Message
    sender: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class TypingChanged:
    """Somebody began or stopped typing. Never goes to their own connections."""

    conversation: Conversation
    user: Profile
    active: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A message that was newly read."""

    message_id: int
    seq: int
    sender_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesRead:
    """A reader's cursor moved up to `cursor`.

    `receipts` are the newly read messages of others, the newest 50, rising. `own_read` is as in Member.
    `pushed` is false in conversations with too many members for receipts: there only the reader's own
    connections hear of it.
    """

    conversation: Conversation
    reader: Profile
    cursor: int
    own_read: int
    receipts: tuple[Receipt, ...]
    pushed: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEdited:
    """A message says something else. `rev` is the change's place among all in the conversation.

    `message` is as it was afterwards, or later: told again, a change may come with what came after it. So it
    is in all events about changes.
    """

    conversation: Conversation
    message: Message
    sender: Profile
    read_at: datetime | None
    user_id: str
    rev: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDeleted:
    """A message says nothing any more; its place stays."""

    conversation: Conversation
    message: Message
    user_id: str
    rev: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionChanged:
    """A user put an emoji on a message, or took it back (not `added`)."""

    conversation: Conversation
    message: Message
    user: Profile
    emoji: str
    added: bool
    rev: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceChanged:
    """A user's visible status changed. Goes once to each connection of those in one of `conversations`.

    `crossed` says that they came online or went offline, rather than from one online status to another.
    """

    user: Profile
    status: Status
    crossed: bool
    last_seen: datetime | None
    conversations: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationChanged:
    """A conversation was renamed, or its members changed. Goes to those who were and remain members."""

    view: ConversationView
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAdded:
    """A user is now a member of a conversation, which may be new. Goes to that user.

    What came past seq `since` is news to them, also where `view` shows it already; and what was changed past
    rev `since_rev`.
    """

    user_id: str
    view: ConversationView
    since: int
    since_rev: int = 0
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved:
    """A user is no longer a member. Goes to that user; ends their watching everywhere."""

    user_id: str
    conversation: Conversation
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationDeleted:
    """A conversation is gone."""

    conversation: Conversation
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadChanged:
    """A user's unread counts changed. Made by each process for its own connections of that user."""

    user_id: str
    total: int
    conversation_id: str | None = None
    unread: int | None = None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEntered:
    """A user's first connection watches a group or room. Never goes to their own connections."""

    conversation: Conversation
    user: Profile
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLeft:
    """None of a user's connections watches it any more. Never goes to their own connections."""

    conversation: Conversation
    user: Profile
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChanged:
    """One of a user's devices connected or disconnected. Goes to their other devices."""

    user_id: str
    device: str
    connected: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """A user has a notification."""

    user_id: str
    notification: Notification
    at: datetime

    @property
    def position(self) -> int:
        """Which of all that concerned the user alone this was."""
        return self.notification.position


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceChanged:
    """A user archived, muted or marked a conversation, or undid it. Goes to that user, so that `view.mine`
    is theirs. `position` is as in Notification; 0 where nothing was written, because it follows from a
    message."""

    user_id: str
    view: ConversationView
    position: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSentAway:
    """An administrator disconnected a user, or a service `erased` them: their connections end in every
    process, and tokens that were issued up to `revoked_before` are good no more (None: all stay good).
    `number` is as in Disconnection."""

    user_id: str
    number: int
    revoked_before: datetime | None
    at: datetime
    erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksChanged:
    """Whether two users have nothing to do with one another (`blocked`) is no longer as it was. There is one
    for each of the two, with the `position` (as in Notification) of `user_id`. All processes hear it."""

    user_id: str
    other_id: str
    blocked: bool
    position: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusAsked:
    """A process asks all others who is connected there. `question` is where the answers go."""

    question: str
    user_id: str | None = None
    after: str | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusTold:
    """A process's answer: what it is, and its first connections of those that were asked for."""

    question: str
    process: ProcessView
    connections: tuple[ConnectionView, ...] = ()


MessageChange = MessageEdited | MessageDeleted | ReactionChanged
"""Events about messages that were sent before. Each connection hears them once, by rising `rev`."""


def changed_by(event: MessageChange) -> str:
    """The id of the user who changed a message."""
    return event.user.id if isinstance(event, ReactionChanged) else event.user_id


ConversationEvent = (
    MessageSent
    | MessageChange
    | TypingChanged
    | MessagesRead
    | ConversationChanged
    | ConversationDeleted
    | RoomEntered
    | RoomLeft
)
"""Events that go to those who watch or follow a conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that has reached a user, with all before it."""

    user_id: str
    message_id: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesDelivered:
    """Messages of one author have reached others: for each of them, the last. Goes to the author."""

    user_id: str
    conversation: Conversation
    deliveries: tuple[Delivery, ...]
    at: datetime


UserEvent = (
    MemberAdded | MemberRemoved | MessagesDelivered | UnreadChanged | DeviceChanged | Notified | PlaceChanged
)
"""Events that go to one user's connections."""

Event = ConversationEvent | UserEvent | PresenceChanged
"""Whatever clients can be told."""

ProcessEvent = UserSentAway | BlocksChanged | CensusAsked | CensusTold
"""What processes tell one another, and no client hears of."""

Announcement = Event | ProcessEvent
"""Whatever can be announced to the other processes."""


def conversation_of(event: ConversationEvent) -> Conversation:
    """The conversation that an event happened in."""
    if isinstance(event, ConversationChanged):
        return event.view.conversation
    return event.conversation


EVERYBODY = "*"
"""The topic that every process hears."""


def conversation_topic(conversation_id: str) -> str:
    """The topic of what happens in a conversation."""
    return f"c:{conversation_id}"


def user_topic(user_id: str) -> str:
    """The topic of what happens to a user."""
    return f"u:{user_id}"


def census_topic(question: str) -> str:
    """The topic of the answers to a question of a process."""
    return f"q:{question}"


def topic_of(event: Announcement) -> str:
    """Where an event is announced to the other processes."""
    match event:
        case PresenceChanged() | UserSentAway() | BlocksChanged() | CensusAsked():
            return EVERYBODY
        case CensusTold():
            return census_topic(event.question)
        case (
            MemberAdded()
            | MemberRemoved()
            | MessagesDelivered()
            | UnreadChanged()
            | DeviceChanged()
            | Notified()
            | PlaceChanged()
        ):
            return user_topic(event.user_id)
        case (
            MessageSent()
            | MessageEdited()
            | MessageDeleted()
            | ReactionChanged()
            | TypingChanged()
            | MessagesRead()
            | ConversationChanged()
            | ConversationDeleted()
            | RoomEntered()
            | RoomLeft()
        ):
            return conversation_topic(conversation_of(event).id)
        case _:
            assert_never(event)
