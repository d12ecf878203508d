"""`/ws/rooms` word for word: what its clients send, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from messaging.dialects.base import Frame, Hears
from messaging.dialects.rooms import Rooms
from messaging.domain.commands import (
    Authenticate,
    Command,
    JoinConversation,
    LeaveConversation,
    LoadHistory,
    Ping,
    SendMessage,
)
from messaging.domain.errors import ClientError, InvalidFormat, PermissionDenied, RoomNotFound
from messaging.domain.events import (
    Event,
    MessageSent,
    Notified,
    PresenceChanged,
    RoomEntered,
    TypingChanged,
)
from messaging.domain.models import Conversation, Identity, Kind, Message, MessageView, Status
from messaging.domain.replies import Authenticated, HistoryPage, Joined, Left, Pong, Reply, Sent
from tests.dialects.examples import ALICE, BOB, GROUP, NOTICES, NOW, NOW_TEXT, PAIR, PAIR_VIEWS, READ, VIEWS

ROOMS = Rooms()

GENERAL = Conversation(id="general", kind=Kind.ROOM, name="general", created_at=NOW, updated_at=NOW)
YO = Message(
    id=123,
    conversation_id="general",
    seq=1,
    sender_id="user_id",
    sender_seq=1,
    content="yo",
    created_at=NOW,
)
SEEN = MessageView(message=YO, sender=replace(BOB, id="user_id"))
HELLO = replace(YO, conversation_id=PAIR.id, sender_id="5", content="salut")
WHISPER = MessageView(message=HELLO, sender=ALICE)

SEED: list[tuple[dict[str, Any], Command]] = [
    (
        {"type": "join", "room": "general"},
        JoinConversation(conversation_id="general", limit=0, create=True, show_online=True),
    ),
    (
        {"type": "message", "room": "general", "content": "yo"},
        SendMessage(conversation_id="general", content="yo"),
    ),
    ({"type": "dm", "to": "user_id", "content": "salut"}, SendMessage(to_user="user_id", content="salut")),
    ({"type": "history", "room": "general", "limit": 50}, LoadHistory(conversation_id="general")),
    (
        {"type": "join", "room": 7, "after": 0},
        JoinConversation(conversation_id="7", limit=0, after=0, create=True, show_online=True),
    ),
    ({"type": "leave", "room": "general"}, LeaveConversation(conversation_id="general")),
    (
        {"type": "message", "room": "general", "content": "yo", "client_message_id": "c"},
        SendMessage(conversation_id="general", content="yo", client_message_id="c"),
    ),
    (
        {"type": "history", "room": "general", "limit": 5, "before": 9},
        LoadHistory(conversation_id="general", limit=5, before=9),
    ),
    (
        {"type": "dm_history", "with": 5, "limit": 500, "before": 9},
        LoadHistory(with_user="5", limit=200, before=9),
    ),
    ({"type": "authenticate", "token": "x.y.z"}, Authenticate(token="x.y.z")),
    ({"type": "ping"}, Ping()),
]

SHOWN = {
    "id": "123",
    "seq": 1,
    "room": "general",
    "from": "user_id",
    "content": "yo",
    "timestamp": NOW_TEXT,
}
DM = {"id": "123", "seq": 1, "to": "bob", "from": "5", "content": "salut", "timestamp": NOW_TEXT}
FULL_SHOWN = {
    "id": "124",
    "seq": 8,
    "room": "1",
    "from": "5",
    "content": "Voici",
    "timestamp": NOW_TEXT,
    "reply_to": "123",
    "client_message_id": "42",
    "edited_at": "2025-10-23T09:30:01.120Z",
    "attachments": [
        {"id": "0", "url": "https://example.com/a.pdf", "file_name": "a.pdf", "file_size": 0},
        {
            "id": "v",
            "url": "/v.ogg",
            "file_name": "v.ogg",
            "file_size": 9,
            "mime_type": "audio/ogg",
            "duration": 1.5,
        },
    ],
    "media_url": "https://example.com/a.pdf",
}
FULL_REACTIONS = [{"emoji": "👍", "count": 60, "user_ids": [str(n) for n in range(50)]}]

ANSWERS: list[tuple[str, Reply, list[dict[str, Any]]]] = [
    (
        "join",
        Joined(conversation=GENERAL, last_seq=9, online=("5", "bob")),
        [{"type": "joined", "room": "general", "online": ["5", "bob"]}],
    ),
    (
        "join",
        Joined(conversation=GENERAL, messages=(SEEN,), last_seq=1, online=("5",)),
        [{"type": "joined", "room": "general", "online": ["5"]}, {"type": "message", **SHOWN}],
    ),
    (
        "join",
        HistoryPage(conversation=GENERAL, messages=(SEEN,), last_seq=1),
        [{"type": "message", **SHOWN}],
    ),
    ("leave", Left(conversation_id="general"), [{"type": "left", "room": "general"}]),
    ("message", Sent(conversation=GENERAL, view=SEEN), []),
    ("message", Sent(conversation=GENERAL, view=SEEN, repeated=True), [{"type": "message", **SHOWN}]),
    ("dm", Sent(conversation=PAIR, view=WHISPER), []),
    ("dm", Sent(conversation=PAIR, view=WHISPER, repeated=True), [{"type": "dm", **DM}]),
    (
        "history",
        HistoryPage(conversation=GROUP, messages=VIEWS[1:2], has_more=True, last_seq=8),
        [
            {
                "type": "history",
                "room": "1",
                "messages": [FULL_SHOWN | {"reactions": FULL_REACTIONS}],
                "has_more": True,
            }
        ],
    ),
    (
        "dm_history",
        HistoryPage(conversation=PAIR, with_user="bob", messages=(WHISPER,), last_seq=1),
        [{"type": "dm_history", "with": "bob", "messages": [DM], "has_more": False}],
    ),
    (
        "dm_history",
        HistoryPage(conversation=None, with_user="bob"),
        [{"type": "dm_history", "with": "bob", "messages": [], "has_more": False}],
    ),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE, expires_at=NOW)),
        [{"type": "authenticated", "expires_at": NOW_TEXT}],
    ),
    ("ping", Pong(), [{"type": "pong"}]),
]


def sent(conversation: Conversation, view: MessageView) -> MessageSent:
    return MessageSent(conversation=conversation, message=view.message, sender=view.sender)


def seen(status: Status, *, crossed: bool) -> PresenceChanged:
    return PresenceChanged(
        user=ALICE, status=status, crossed=crossed, last_seen=NOW, conversations=(), at=NOW
    )


EVENTS: list[tuple[Event, str | None, list[dict[str, Any]]]] = [
    (sent(GENERAL, SEEN), None, [{"type": "message", **SHOWN}]),
    (sent(GROUP, VIEWS[1]), None, [{"type": "message", **FULL_SHOWN}]),
    (sent(PAIR, WHISPER), "5", [{"type": "dm", **DM}]),
    (sent(PAIR, WHISPER), "bob", [{"type": "dm", **DM}]),
    (seen(Status.ONLINE, crossed=True), None, [{"type": "status", "user": "5", "online": True}]),
    (seen(Status.BUSY, crossed=True), None, [{"type": "status", "user": "5", "online": True}]),
    (seen(Status.OFFLINE, crossed=True), None, [{"type": "status", "user": "5", "online": False}]),
    (seen(Status.AWAY, crossed=False), None, []),
    (TypingChanged(conversation=GROUP, user=ALICE, active=True, at=NOW), None, []),
    (RoomEntered(conversation=GENERAL, user=ALICE, at=NOW), None, []),
    (READ, None, []),
    (
        Notified(user_id="5", notification=NOTICES[1], at=NOW),
        None,
        [
            {
                "type": "notification",
                "kind": "group_invite",
                "id": "12",
                "data": {"group_id": "1"},
                "created_at": NOW_TEXT,
                "title": "Salon",
                "body": "Venez",
            }
        ],
    ),
]

REFUSED: list[tuple[dict[str, Any], type[ClientError], dict[str, object]]] = [
    ({"type": "join", "room": "dm:1:2"}, PermissionDenied, {"room": "dm:1:2"}),
    ({"type": "leave", "room": "dm:1:2"}, RoomNotFound, {"room": "dm:1:2"}),
    ({"type": "message", "room": "dm:1:2", "content": "x"}, RoomNotFound, {"room": "dm:1:2"}),
    ({"type": "history", "room": "dm:1:2"}, RoomNotFound, {"room": "dm:1:2"}),
    ({"type": "join"}, InvalidFormat, {}),
    ({"type": "message", "room": 5, "content": 5}, InvalidFormat, {"room": "5"}),
    ({"type": "edit", "id": 5}, InvalidFormat, {}),
]


def told(frames: tuple[Frame, ...]) -> list[Any]:
    assert all(frame.payload["type"] == frame.name for frame in frames)
    return [frame.payload for frame in frames]


@pytest.mark.parametrize(("payload", "command"), SEED)
def test_what_clients_send_is_understood(payload: dict[str, Any], command: Command) -> None:
    (request,) = ROOMS.requests(Frame(payload["type"], payload))
    assert request.error is None
    assert request.command == command


@pytest.mark.parametrize(("name", "reply", "frames"), ANSWERS)
def test_commands_are_answered_as_the_contract_says(
    name: str, reply: Reply, frames: list[dict[str, Any]]
) -> None:
    payload = next(payload for payload, _ in SEED if payload["type"] == name)
    (request,) = ROOMS.requests(Frame(name, payload))
    answer = ROOMS.reply(request, reply, NOW)
    assert answer.ack is None
    assert told(answer.frames) == frames


@pytest.mark.parametrize(("event", "viewer", "frames"), EVENTS)
def test_events_are_told_as_the_contract_says(
    event: Event, viewer: str | None, frames: list[dict[str, Any]]
) -> None:
    assert told(ROOMS.render(event, viewer)) == frames


@pytest.mark.parametrize(("payload", "error", "named"), REFUSED)
def test_what_cannot_be_is_refused_and_names_where(
    payload: dict[str, Any], error: type[ClientError], named: dict[str, object]
) -> None:
    (request,) = ROOMS.requests(Frame(payload["type"], payload))
    assert type(request.error) is error
    assert request.named == named


def test_an_error_is_one_flat_frame() -> None:
    (request,) = ROOMS.requests(Frame("join", {"type": "join", "room": 5}))
    assert told(ROOMS.refusal(request, PermissionDenied(), NOW).frames) == [
        {
            "type": "error",
            "message": "You may not do this here.",
            "code": "PERMISSION_DENIED",
            "details": {"room": "5"},
        }
    ]


def test_what_the_system_says_to_two_is_to_whoever_is_told() -> None:
    event = sent(PAIR, PAIR_VIEWS[-1])
    for viewer, other in (("5", "bob"), ("bob", "5")):
        (shown,) = told(ROOMS.render(event, viewer))
        assert (shown["from"], shown["to"], shown["with"]) == ("system", viewer, other)


def test_a_connection_hears_direct_messages_and_what_it_joined() -> None:
    assert ROOMS.hears is Hears.DIRECT
    assert ROOMS.writes_need_join
    assert ROOMS.budget == "messages"
