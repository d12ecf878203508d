"""The dialect of the WebSocket `/ws` (docs/protocols.md): `{type, payload, meta}`, numbers as ids.

One connection hears all of its user's conversations, and what came while its device was away. There are
no acks: a message comes back to its sender like to everybody, with the device that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from messaging.dialects import snake
from messaging.dialects import unified_shapes as shapes
from messaging.dialects.attachments import Attachments
from messaging.dialects.base import Answer, Frame, Hears, Payload, Request
from messaging.dialects.fields import Choice, ConversationId, EmojiText, Flag, MessageId, UserId
from messaging.dialects.frames import Frames, Row
from messaging.dialects.unified_told import VOCABULARY
from messaging.domain.commands import (
    AcceptInvitation,
    Authenticate,
    CatchUp,
    Command,
    DeleteMessage,
    EditMessage,
    Greet,
    InviteMember,
    ListContacts,
    MarkRead,
    Ping,
    SendMessage,
    SetReaction,
    SetStatus,
    SetTyping,
)
from messaging.domain.errors import InvalidFormat
from messaging.domain.events import Event
from messaging.domain.ids import numeric
from messaging.domain.models import Status
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    ContactList,
    ConversationReply,
    Done,
    Greeted,
    Marked,
    Missed,
    Pong,
    Reply,
    Sent,
)

TYPING_SECONDS = 6
"""Nobody says here that they stopped typing."""


class Invitation(StrEnum):
    """The notifications that clients may send."""

    GROUP_INVITE = shapes.GROUP_INVITE


# --- what comes in -----------------------------------------------------------------------------------

_SPELLINGS = {"file_name": "fileName", "file_size": "fileSize", "mime_type": "mimeType"}


class Files(Attachments):
    """Attachments, whose keys may also be spelt as this dialect shows them."""

    def read(self, value: object) -> Any:
        """The attachments, complete with id, name and size."""
        return super().read([_respelt(item) for item in value] if isinstance(value, list) else value)


def _respelt(item: object) -> object:
    if not isinstance(item, dict):
        return item
    return {_SPELLINGS.get(key, key): value for key, value in item.items()}


class Words(snake.Words):
    """A message, without where it goes."""

    attachments = Files()
    reply_to = MessageId()


class ToUser(Words):
    """A message to a user; `target_id` comes from the frame's `meta`."""

    target_id = UserId()
    user_id = UserId()


class ToGroup(Words):
    """A message to a group."""

    group_id = ConversationId(required=True)


class Typing(snake.SnakeSchema):
    """Where the user types."""

    conversation_id = ConversationId()
    group_id = ConversationId()
    user_id = UserId()
    is_typing = Flag()


class ChooseStatus(snake.SnakeSchema):
    """What others are to see."""

    status = Choice(Status, required=True)


class React(snake.OneMessage):
    """An emoji on a message, or off it."""

    emoji = EmojiText(required=True)
    remove = Flag()


class Group(snake.SnakeSchema):
    """Which group."""

    group_id = ConversationId(required=True)


class Invite(Group):
    """An invitation into a group; `target_id` comes from the frame's `meta`."""

    kind = Choice(Invitation, required=True, data_key="type")
    target_id = UserId(required=True)


def _to_partner(target_id: str | None = None, user_id: str | None = None, **words: Any) -> Command:
    to_user = target_id or user_id
    if to_user is None:
        raise InvalidFormat("Name a user in meta.target_id.", field="target_id")
    return SendMessage(to_user=to_user, **words)


def _to_group(group_id: str, **words: Any) -> Command:
    return SendMessage(conversation_id=group_id, **words)


def _type(
    conversation_id: str | None = None,
    group_id: str | None = None,
    user_id: str | None = None,
    *,
    is_typing: bool = True,
) -> Command:
    place = conversation_id or group_id
    if place is None and user_id is None:
        raise InvalidFormat("Name a conversation, a group or a user.", field="conversation_id")
    to_user = user_id if place is None else None
    return SetTyping(conversation_id=place, to_user=to_user, active=is_typing, seconds=TYPING_SECONDS)


def _mark(message_id: int) -> Command:
    return MarkRead(message_ids=(message_id,))


def _react(message_id: int, emoji: str, *, remove: bool = False) -> Command:
    return SetReaction(message_id=message_id, emoji=emoji, present=not remove)


def _invite(kind: Invitation, group_id: str, target_id: str) -> Command:
    del kind  # there is but one
    return InviteMember(conversation_id=group_id, user_id=target_id)


def _accept(group_id: str) -> Command:
    return AcceptInvitation(conversation_id=group_id)


# --- the table ---------------------------------------------------------------------------------------

ROWS: tuple[Row[Any], ...] = (
    Row(
        name="chat_message",
        summary="Send a message to the user of `meta.target_id`; it comes back as it was stored.",
        form=ToUser(),
        command=_to_partner,
        reply=Sent,
        tells=shapes.sent,
        answers=("chat_message",),
        example={"target_id": 2, "content": "Bonjour!", "client_message_id": "draft-1"},
    ),
    Row(
        name="group_message",
        summary="Send a message to a group or room; it comes back as it was stored.",
        form=ToGroup(),
        command=_to_group,
        reply=Sent,
        tells=shapes.sent,
        answers=("group_message",),
        example={"group_id": 1, "content": "Bonjour à tous!"},
    ),
    Row(
        name="typing_indicator",
        summary="Show, or no longer show, the others that the user types; it ends after 6 seconds.",
        form=Typing(),
        command=_type,
        reply=Done,
        example={"conversation_id": 4},
    ),
    Row(
        name="read_receipt",
        summary="Mark all messages up to this one read.",
        form=snake.OneMessage(),
        command=_mark,
        reply=Marked,
        tells=shapes.marked,
        answers=("read_receipt",),
        example={"message_id": 98},
    ),
    Row(
        name="message_edit",
        summary="Say something else in a message of one's own.",
        form=snake.Edit(),
        command=EditMessage,
        reply=ChangedMessage,
        tells=shapes.changed,
        answers=("message_edited",),
        example={"message_id": 98, "content": "Bonsoir!"},
    ),
    Row(
        name="message_delete",
        summary="Take back a message: one's own, or as an admin anybody's.",
        form=snake.OneMessage(),
        command=DeleteMessage,
        reply=ChangedMessage,
        tells=shapes.changed,
        answers=("message_deleted",),
        example={"message_id": 98},
    ),
    Row(
        name="message_react",
        summary="Put an emoji on a message; with `remove`, take one's own back.",
        form=React(),
        command=_react,
        reply=ChangedMessage,
        tells=shapes.changed,
        answers=("message_reaction",),
        example={"message_id": 98, "emoji": "👍"},
    ),
    Row(
        name="status_update",
        summary="Choose what others see: online, away, busy or offline.",
        form=ChooseStatus(),
        command=SetStatus,
        reply=Done,
        example={"status": "away"},
    ),
    Row(
        name="notification",
        summary="Invite the user of `meta.target_id` into a group.",
        form=Invite(),
        command=_invite,
        reply=Done,
        example={"target_id": 2, "type": "group_invite", "group_id": 12},
    ),
    Row(
        name="group_join",
        summary="Join a group that one was invited to.",
        form=Group(),
        command=_accept,
        reply=ConversationReply,
        tells=shapes.joined,
        answers=("group_updated",),
        example={"group_id": 12},
    ),
    Row(
        name="authenticate",
        summary="Go on with a new token for the same user.",
        form=snake.Token(),
        command=Authenticate,
        reply=Authenticated,
        tells=shapes.authenticated,
        answers=("authenticated",),
        example={"token": "eyJhbGciOi…"},
    ),
    Row(
        name="ping",
        summary="Ask for nothing but an answer.",
        form=snake.Nothing(),
        command=Ping,
        reply=Pong,
        tells=shapes.pong,
        answers=("pong",),
    ),
)

GREETING: tuple[Row[Any], ...] = (
    Row(
        name="greet",
        summary="Tell the device its name.",
        form=snake.Nothing(),
        command=Greet,
        reply=Greeted,
        tells=shapes.greeted,
    ),
    Row(
        name="contacts",
        summary="Tell who is not offline.",
        form=snake.Nothing(),
        command=ListContacts,
        reply=ContactList,
        tells=shapes.contacts,
    ),
    Row(
        name="catch_up",
        summary="Tell what came while the device was away.",
        form=snake.Nothing(),
        command=CatchUp,
        reply=Missed,
        tells=shapes.missed,
    ),
)
"""What the server carries out by itself on connecting. No client can ask for these."""


class Unified(Frames):
    """Ids as numbers where they are some; devices, and all conversations of their user."""

    name = "unified"
    hears = Hears.ALL
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        super().__init__(ROWS)
        self._greeting = {row.name: row for row in GREETING}

    def body(self, payload: Payload) -> object:
        """The frame's `payload`, and whom `meta` names; who sends, the server knows."""
        inner, meta = payload.get("payload"), payload.get("meta")
        target = meta.get("target_id") if isinstance(meta, dict) else None
        return inner if target is None or not isinstance(inner, dict) else inner | {"target_id": target}

    def envelope(self, name: str, body: Payload, at: datetime) -> Frame:
        """A frame that comes from nobody."""
        return shapes.frame(name, body, at)

    def shown(self, key: str, given: str | int) -> str | int:
        """As a number where it is one."""
        del key
        return numeric(given) if isinstance(given, str) else given

    def greeting(self, device: str, after: int | None) -> Sequence[Request]:
        """Name the device; show who is there; then what was missed, past message `after` if it is named."""
        del device
        return (
            Request(name="greet", command=Greet()),
            Request(name="contacts", command=ListContacts()),
            Request(
                name="catch_up",
                command=CatchUp(after=after),
                named={} if after is None else {"after": after},
            ),
        )

    def reply(self, request: Request, reply: Reply, at: datetime) -> Answer:
        """The frames that answer a command, or greet."""
        row = self._greeting.get(request.name) or self.rows[request.name]
        return row.answer(reply, at)

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told; the same for everybody."""
        del viewer
        return shapes.render(event)
