"""The dialect of the WebSocket `/ws/rooms` (docs/protocols.md): flat `{type, …}`, strings as ids.

A room is made by joining it. Direct messages are heard unasked.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import assert_never

from messaging.dialects import snake
from messaging.dialects.base import Frame, Hears, Payload
from messaging.dialects.fields import Limit, UserId, Whole
from messaging.dialects.frames import Frames, Row
from messaging.dialects.rooms_told import VOCABULARY
from messaging.dialects.shapes import time
from messaging.dialects.snake import RoomId, SnakeSchema, Words
from messaging.domain.commands import (
    Authenticate,
    JoinConversation,
    LeaveConversation,
    LoadHistory,
    Ping,
    SendMessage,
)
from messaging.domain.errors import PermissionDenied
from messaging.domain.events import (
    ConversationChanged,
    ConversationDeleted,
    DeviceChanged,
    Event,
    MemberAdded,
    MemberRemoved,
    MessageChange,
    MessageDeleted,
    MessageEdited,
    MessagesDelivered,
    MessageSent,
    MessagesRead,
    Notified,
    PlaceChanged,
    PresenceChanged,
    ReactionChanged,
    RoomEntered,
    RoomLeft,
    TypingChanged,
    UnreadChanged,
)
from messaging.domain.models import Conversation, Kind, Message, MessageView, Profile, Status
from messaging.domain.replies import Authenticated, HistoryPage, Joined, Left, Pong, Sent

# --- forms -------------------------------------------------------------------------------------------


class InRoom(SnakeSchema):
    """What is done in a room and says no more."""

    conversation_id = RoomId(required=True, data_key="room")


class Join(InRoom):
    """Joining, with all that was missed where the client says what it had."""

    after = Whole()


class RoomMessage(Words, InRoom):
    """A message to a room."""


class Dm(Words):
    """A message to a user."""

    to_user = UserId(required=True, data_key="to")


class Page(SnakeSchema):
    """Which part of a history: before a seq, else the newest."""

    limit = Limit()
    before = Whole()


class History(Page, InRoom):
    """A page of a room."""


class DmHistory(Page):
    """A page of the messages with a user."""

    with_user = UserId(required=True, data_key="with")


# --- shapes ------------------------------------------------------------------------------------------


def _frame(name: str, /, **body: object) -> Frame:
    return Frame(name, {"type": name, **body})


def _message(stored: Message, sender: Profile, place: Payload) -> Payload:
    """A message with where it went: `room`, or `to`."""
    return {
        "id": str(stored.id),
        "seq": stored.seq,
        **place,
        "from": sender.id,
        "content": stored.content,
        "timestamp": time(stored.created_at),
        **snake.extras(stored, str),
    }


def _live(conversation: Conversation, stored: Message, sender: Profile, viewer: str | None = None) -> Frame:
    """A message as it was told when it was sent. What the system says to two is to whoever is told, and
    says who it is `with`."""
    if conversation.kind is not Kind.DIRECT:
        return _frame("message", **_message(stored, sender, {"room": conversation.id}))
    to_user = snake.partner(conversation, sender.id)
    if to_user is not None:
        return _frame("dm", **_message(stored, sender, {"to": to_user}))
    told = _message(stored, sender, {"to": viewer or sender.id})
    other = snake.partner(conversation, viewer)
    return _frame("dm", **told, **({"with": other} if other else {}))


def _seen(page: HistoryPage, seen: MessageView) -> Payload:
    viewer = snake.partner(page.conversation, page.with_user) if page.conversation else None
    place = {"room": seen.message.conversation_id}
    if viewer is not None and page.with_user is not None:
        place = {"to": page.with_user if seen.sender.id == viewer else viewer}
    shown = _message(seen.message, seen.sender, place)
    if seen.message.reactions:
        shown["reactions"] = snake.reactions(seen.message.reactions, str)
    return shown


# --- answers -----------------------------------------------------------------------------------------


def _joined(reply: Joined, at: datetime) -> tuple[Frame, ...]:
    told = _frame("joined", room=reply.conversation.id, online=list(reply.online))
    return (told, *_missed(reply, at))


def _missed(page: Joined | HistoryPage, _at: datetime) -> tuple[Frame, ...]:
    if page.conversation is None:
        return ()
    return tuple(_live(page.conversation, seen.message, seen.sender) for seen in page.messages)


def _left(reply: Left, _at: datetime) -> tuple[Frame, ...]:
    return (_frame("left", room=reply.conversation_id),)


def _sent(reply: Sent, _at: datetime) -> tuple[Frame, ...]:
    """Nothing: the event comes to the sender, too. For what was there already there is none."""
    seen = reply.view
    return (_live(reply.conversation, seen.message, seen.sender),) if reply.repeated else ()


def _history(page: HistoryPage, _at: datetime) -> tuple[Frame, ...]:
    messages = [_seen(page, seen) for seen in page.messages]
    if page.with_user is not None:
        place = {"with": page.with_user}
        return (_frame("dm_history", **place, messages=messages, has_more=page.has_more),)
    if page.conversation is None:
        return ()
    return (_frame("history", room=page.conversation.id, messages=messages, has_more=page.has_more),)


def _authenticated(reply: Authenticated, _at: datetime) -> tuple[Frame, ...]:
    return (_frame("authenticated", **snake.token_end(reply)),)


def _pong(_reply: Pong, _at: datetime) -> tuple[Frame, ...]:
    return (_frame("pong"),)


# --- commands ----------------------------------------------------------------------------------------

_HERE: Payload = {"room": "general"}

ROWS = (
    Row(
        name="join",
        summary="Hear a room from here on, which is made if there is none; with `after`, "
        "all that was missed comes first.",
        form=Join(),
        # A direct conversation is there, but not to be joined: a name like its own cannot be made a room.
        command=snake.in_room(
            partial(JoinConversation, limit=0, create=True, show_online=True), PermissionDenied
        ),
        reply=Joined,
        tells=_joined,
        answers=("joined", "message"),
        pages=_missed,
        example=_HERE | {"after": 41},
    ),
    Row(
        name="leave",
        summary="Hear a room no longer on this connection.",
        form=InRoom(),
        command=snake.in_room(LeaveConversation),
        reply=Left,
        tells=_left,
        answers=("left",),
        example=_HERE,
    ),
    Row(
        name="message",
        summary="Send a message to a room that this connection has joined.",
        form=RoomMessage(),
        command=snake.in_room(SendMessage),
        reply=Sent,
        tells=_sent,
        answers=("message",),
        example=_HERE | {"content": "yo"},
    ),
    Row(
        name="dm",
        summary="Send a message to a user.",
        form=Dm(),
        command=SendMessage,
        reply=Sent,
        tells=_sent,
        answers=("dm",),
        example={"to": "bob", "content": "salut"},
    ),
    Row(
        name="history",
        summary="A page of a room, oldest first.",
        form=History(),
        command=snake.in_room(LoadHistory),
        reply=HistoryPage,
        tells=_history,
        answers=("history",),
        example=_HERE | {"limit": 50},
    ),
    Row(
        name="dm_history",
        summary="A page of the messages with a user, oldest first.",
        form=DmHistory(),
        command=LoadHistory,
        reply=HistoryPage,
        tells=_history,
        answers=("dm_history",),
        example={"with": "bob", "limit": 50},
    ),
    Row(
        name="authenticate",
        summary="Go on with a new token for the same user.",
        form=snake.Token(),
        command=Authenticate,
        reply=Authenticated,
        tells=_authenticated,
        answers=("authenticated",),
        example={"token": "eyJhbGciOi…"},
    ),
    Row(
        name="ping",
        summary="Ask for nothing but an answer.",
        form=snake.Nothing(),
        command=Ping,
        reply=Pong,
        tells=_pong,
        answers=("pong",),
    ),
)

# --- events ------------------------------------------------------------------------------------------


def _changed(event: MessageChange, viewer: str | None) -> Frame:
    there, stored = event.conversation, event.message
    other = snake.partner(there, viewer)
    place: Payload = {"room": there.id} if other is None else {"with": other}
    which: Payload = {"id": str(stored.id), "seq": stored.seq, **place}
    match event:
        case MessageEdited():
            told = _live(there, stored, event.sender, viewer).payload
            return Frame("message_edited", {**told, "type": "message_edited"})
        case MessageDeleted():
            gone = time(stored.deleted_at or event.at)
            return _frame("message_deleted", **which, by=event.user_id, deleted_at=gone)
        case ReactionChanged():
            put = snake.reactions(stored.reactions, str)
            who: Payload = {"from": event.user.id, "emoji": event.emoji, "added": event.added}
            return _frame("reaction", **which, **who, reactions=put)


def _presence(event: PresenceChanged) -> tuple[Frame, ...]:
    if not event.crossed:
        return ()
    return (_frame("status", user=event.user.id, online=event.status is not Status.OFFLINE),)


def _notification(event: Notified) -> Frame:
    """The frame's `type` is taken, so the notification's own is its `kind`."""
    told = snake.notification(event.notification)
    return _frame("notification", kind=told.pop("type"), **told)


def render(event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
    """How an event is told in `/ws/rooms`."""
    match event:
        case MessageSent():
            return (_live(event.conversation, event.message, event.sender, viewer),)
        case MessageEdited() | MessageDeleted() | ReactionChanged():
            return (_changed(event, viewer),)
        case PresenceChanged():
            return _presence(event)
        case Notified():
            return (_notification(event),)
        case (
            TypingChanged()
            | MessagesRead()
            | ConversationChanged()
            | MemberAdded()
            | MemberRemoved()
            | MessagesDelivered()
            | ConversationDeleted()
            | UnreadChanged()
            | RoomEntered()
            | RoomLeft()
            | DeviceChanged()
            | PlaceChanged()
        ):
            return ()
        case _:
            assert_never(event)


class Rooms(Frames):
    """Rooms made on joining, and direct messages."""

    name = "rooms"
    hears = Hears.DIRECT
    writes_need_join = True
    names_partner = True
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        super().__init__(ROWS)

    def body(self, payload: Payload) -> object:
        """The frame itself."""
        return payload

    def envelope(self, name: str, body: Payload, at: datetime) -> Frame:
        """`{type, …}`."""
        del at
        return _frame(name, **body)

    def shown(self, key: str, given: str | int) -> str | int:
        """As a string."""
        del key
        return str(given)

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told."""
        return render(event, viewer)
