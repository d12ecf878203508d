"""The dialect of the WebSocket `/ws/chat` (docs/protocols.md): `{type, data, timestamp}`, numbers as ids.

A room's id is a string always. Direct messages are heard unasked; their frames name the other of the two,
and so differ for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from messaging.dialects import snake
from messaging.dialects.base import Frame, Hears, Payload, Request
from messaging.dialects.forms import read
from messaging.dialects.frames import Frames, Row
from messaging.dialects.shapes import time
from messaging.dialects.ws_chat_events import (
    between_two,
    change,
    frame,
    in_room,
    message,
    receipts,
    render,
    who,
)
from messaging.dialects.ws_chat_forms import (
    BATCH,
    Batch,
    DirectMessage,
    DmHistory,
    InRoom,
    Join,
    ReactionBack,
    RoomHistory,
    RoomMessage,
    Typing,
    join,
    mark,
    send,
    typing,
)
from messaging.dialects.ws_chat_told import VOCABULARY
from messaging.domain.commands import (
    Authenticate,
    DeleteMessage,
    EditMessage,
    LeaveConversation,
    LoadHistory,
    Ping,
    SetReaction,
)
from messaging.domain.errors import InvalidFormat
from messaging.domain.events import Event, changed_by
from messaging.domain.ids import numeric
from messaging.domain.models import MessageView
from messaging.domain.replies import (
    Authenticated,
    ChangedMessage,
    Done,
    HistoryPage,
    Joined,
    Left,
    Marked,
    Pong,
    Sent,
)

# --- answers -----------------------------------------------------------------------------------------


def _joined(reply: Joined, at: datetime) -> tuple[Frame, ...]:
    told = {"room": reply.conversation.id, "success": True, "message": "Joined room successfully"}
    return (frame("join_room_ack", told, at), *_missed(reply, at))


def _missed(page: Joined | HistoryPage, _at: datetime) -> tuple[Frame, ...]:
    if page.conversation is None:
        return ()
    return tuple(message(page.conversation, seen.message, seen.sender) for seen in page.messages)


def _left(reply: Left, at: datetime) -> tuple[Frame, ...]:
    told = {"room": reply.conversation_id, "success": True, "message": "Left room successfully"}
    return (frame("leave_room_ack", told, at),)


def _sent(reply: Sent, _at: datetime) -> tuple[Frame, ...]:
    """Nothing: the event comes to the sender, too. For what was there already there is none."""
    seen = reply.view
    return (message(reply.conversation, seen.message, seen.sender),) if reply.repeated else ()


def _history(page: HistoryPage, at: datetime) -> tuple[Frame, ...]:
    told: Payload = {
        "messages": [_item(page, seen) for seen in page.messages],
        "total": page.last_seq - (page.conversation.removed_seq if page.conversation else 0),
        "has_more": page.has_more,
    }
    if page.with_user is not None:
        told = {"with_user": numeric(page.with_user), **told}
    elif page.conversation is not None:
        told = {"room": page.conversation.id, **told}
    return (frame("message_history", told, at),)


def _item(page: HistoryPage, seen: MessageView) -> Payload:
    there, stored, sender = page.conversation, seen.message, seen.sender
    viewer = snake.partner(there, page.with_user) if there is not None else None
    if there is None or viewer is None or page.with_user is None:
        shown = in_room(stored, sender)
    else:
        to_user = page.with_user if sender.id == viewer else viewer
        shown = between_two(stored, sender, to_user) | who(sender)
    return shown | {"reactions": snake.reactions(stored.reactions, numeric)}


def _marked(reply: Marked, _at: datetime) -> tuple[Frame, ...]:
    return tuple(frame for event in reply.again for frame in receipts(event, event.reader.id))


def _changed(reply: ChangedMessage, _at: datetime) -> tuple[Frame, ...]:
    """What was so before already; whatever else is told to the asker like to everybody."""
    return (change(reply.event, changed_by(reply.event)),) if reply.repeated else ()


def _authenticated(reply: Authenticated, at: datetime) -> tuple[Frame, ...]:
    return (frame("authenticate_ack", {"success": True} | snake.token_end(reply), at),)


def _pong(_reply: Pong, at: datetime) -> tuple[Frame, ...]:
    return (frame("pong", {"timestamp": time(at)}, at),)


# --- commands ----------------------------------------------------------------------------------------

_HERE: Payload = {"room": "general"}
_THIS: Payload = {"message_id": 123}

ROWS = (
    Row(
        name="join_room",
        summary="Hear a room from here on; with `after`, all that was missed comes first.",
        form=Join(),
        command=snake.in_room(join),
        reply=Joined,
        tells=_joined,
        answers=("join_room_ack", "room_message"),
        pages=_missed,
        example=_HERE | {"after": 41},
    ),
    Row(
        name="leave_room",
        summary="Hear a room no longer on this connection.",
        form=InRoom(),
        command=snake.in_room(LeaveConversation),
        reply=Left,
        tells=_left,
        answers=("leave_room_ack",),
        example=_HERE,
    ),
    Row(
        name="room_message",
        summary="Send a message to a room that this connection has joined.",
        form=RoomMessage(),
        command=snake.in_room(send),
        reply=Sent,
        tells=_sent,
        reacts=_changed,
        answers=("room_message",),
        example=_HERE | {"content": "Bonjour tout le monde !", "message_type": "text"},
    ),
    Row(
        name="direct_message",
        summary="Send a message to a user.",
        form=DirectMessage(),
        command=send,
        reply=Sent,
        tells=_sent,
        reacts=_changed,
        answers=("direct_message",),
        example={"to_user_id": 456, "content": "Salut, comment ça va ?", "message_type": "text"},
    ),
    Row(
        name="edit_message",
        summary="Say something else in a message of one's own.",
        form=snake.Edit(),
        command=EditMessage,
        reply=ChangedMessage,
        tells=_changed,
        answers=("message_edited",),
        example=_THIS | {"content": "Bonsoir tout le monde !"},
    ),
    Row(
        name="delete_message",
        summary="Take back a message: one's own, or as an admin anybody's.",
        form=snake.OneMessage(),
        command=DeleteMessage,
        reply=ChangedMessage,
        tells=_changed,
        answers=("message_deleted",),
        example=_THIS,
    ),
    Row(
        name="reaction_removed",
        summary="Take one's own emoji on a message back.",
        form=ReactionBack(),
        command=partial(SetReaction, present=False),
        reply=ChangedMessage,
        tells=_changed,
        answers=("reaction_removed",),
        example=_THIS | {"content": "👍"},
    ),
    Row(
        name="room_history",
        summary="A page of a room, counted back from its newest message, oldest first.",
        form=RoomHistory(),
        command=snake.in_room(LoadHistory),
        reply=HistoryPage,
        tells=_history,
        answers=("message_history",),
        example=_HERE | {"limit": 50, "offset": 0},
    ),
    Row(
        name="dm_history",
        summary="A page of the messages with a user, counted back from the newest, oldest first.",
        form=DmHistory(),
        command=LoadHistory,
        reply=HistoryPage,
        tells=_history,
        answers=("message_history",),
        example={"with_user": 456, "limit": 50, "offset": 0},
    ),
    Row(
        name="typing",
        summary="Show, or no longer show, the others that the user types.",
        form=Typing(),
        command=snake.in_room(typing),
        reply=Done,
        example=_HERE | {"is_typing": True},
    ),
    Row(
        name="read",
        summary="Mark all messages up to this one read.",
        form=snake.OneMessage(),
        command=mark,
        reply=Marked,
        tells=_marked,
        answers=("message_read",),
        example=_THIS,
    ),
    Row(
        name="authenticate",
        summary="Go on with a new token for the same user.",
        form=snake.Token(),
        command=Authenticate,
        reply=Authenticated,
        tells=_authenticated,
        answers=("authenticate_ack",),
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

_BATCH_FORM = Batch()


class WsChat(Frames):
    """Rooms to be joined, direct messages, and many frames in one."""

    name = "ws-chat"
    hears = Hears.DIRECT
    writes_need_join = True
    budget = "ws-chat"
    names_partner = True
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        super().__init__(ROWS)

    def body(self, payload: Payload) -> object:
        """`data`."""
        return payload.get("data")

    def envelope(self, name: str, body: Payload, at: datetime) -> Frame:
        """`{type, data, timestamp}`."""
        return frame(name, body, at)

    def shown(self, key: str, given: str | int) -> str | int:
        """As a number where it is one; a room as a string."""
        if key == "room":
            return str(given)
        return numeric(given) if isinstance(given, str) else given

    def requests(self, frame: Frame) -> Sequence[Request]:
        """What a frame asks for; of a batch, what each of its frames does."""
        if frame.name != BATCH:
            return super().requests(frame)
        payload = frame.payload
        arguments, error = read(_BATCH_FORM, payload.get("data") if isinstance(payload, dict) else payload)
        if error is not None:
            return (Request(name=BATCH, error=error),)
        return tuple(self._inner(index, given) for index, given in enumerate(arguments["messages"]))

    def batch(self, frames: Sequence[Frame], at: datetime) -> Frame:
        """Frames of one moment in one, for connections that asked for it."""
        return frame(BATCH, {"messages": [frame.payload for frame in frames]}, at)

    def render(self, event: Event, viewer: str | None = None) -> tuple[Frame, ...]:
        """How an event is told."""
        return render(event, viewer)

    def _inner(self, index: int, given: object) -> Request:
        name = given.get("type") if isinstance(given, dict) else None
        if name == BATCH:
            request = Request(name=BATCH, error=InvalidFormat("A batch cannot hold a batch."))
        else:
            request = self.request(Frame(name if isinstance(name, str) else "", given))
        return replace(request, named={**request.named, "index": index})
