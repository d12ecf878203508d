"""`/ws/chat` word for word: what its clients send, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.dialects.base import Frame, Hears
from messaging.dialects.ws_chat import WsChat
from messaging.domain.commands import (
    Authenticate,
    Command,
    JoinConversation,
    LeaveConversation,
    LoadHistory,
    MarkRead,
    Ping,
    SendMessage,
    SetTyping,
)
from messaging.domain.errors import AuthFailed, ClientError, InvalidFormat, RoomNotFound
from messaging.domain.events import (
    ConversationDeleted,
    Event,
    MessageSent,
    Notified,
    PresenceChanged,
    RoomEntered,
    RoomLeft,
    TypingChanged,
)
from messaging.domain.ids import direct_id
from messaging.domain.models import (
    Attachment,
    ContentType,
    Conversation,
    Identity,
    Kind,
    Message,
    MessageView,
    Profile,
    Reaction,
    Status,
)
from messaging.domain.replies import Authenticated, Done, HistoryPage, Joined, Left, Marked, Pong, Reply, Sent
from tests.dialects import wrong
from tests.dialects.examples import (
    BOB,
    FULL,
    GROUP,
    NOTICES,
    NOW,
    NOW_TEXT,
    PAIR,
    PAIR_READ,
    PAIR_VIEWS,
    READ,
    VIEWS,
)

WS_CHAT = WsChat()

ALICE = Profile(id="789", username="alice", name="Alice Martin")
OTHER = Profile(id="456", username="bob")
GENERAL = Conversation(id="general", kind=Kind.ROOM, name="general", created_at=NOW, updated_at=NOW)
TWO = Conversation(id=direct_id("789", "456"), kind=Kind.DIRECT, created_at=NOW, updated_at=NOW)
SAID = Message(
    id=123,
    conversation_id="general",
    seq=1,
    sender_id="789",
    sender_seq=1,
    content="Bonjour tout le monde !",
    created_at=NOW,
)
WHISPERED = replace(SAID, id=124, conversation_id=TWO.id, content="Salut, comment ça va ?")

JOIN = {"room": "general"}


def sends(**arguments: Any) -> SendMessage:
    return SendMessage(conversation_id="general", **arguments)


def file(url: str, name: str, **more: Any) -> tuple[Attachment, ...]:
    return (Attachment(id="0", url=url, file_name=name, **more),)


SEED: list[tuple[str, dict[str, Any], Command]] = [
    ("join_room", JOIN, JoinConversation(conversation_id="general", limit=0)),
    ("join_room", {"room": 7, "after": 0}, JoinConversation(conversation_id="7", limit=0, after=0)),
    ("leave_room", JOIN, LeaveConversation(conversation_id="general")),
    (
        "room_message",
        JOIN | {"content": "Bonjour tout le monde !", "message_type": "text"},
        sends(content="Bonjour tout le monde !"),
    ),
    (
        "direct_message",
        {"to_user_id": 456, "content": "Salut, comment ça va ?", "message_type": "text"},
        SendMessage(to_user="456", content="Salut, comment ça va ?"),
    ),
    ("room_history", JOIN | {"limit": 50, "offset": 0}, LoadHistory(conversation_id="general")),
    ("dm_history", {"with_user": 456, "limit": 50, "offset": 0}, LoadHistory(with_user="456")),
    (
        "dm_history",
        {"with_user": "b", "limit": 5, "offset": 9},
        LoadHistory(with_user="b", limit=5, offset=9),
    ),
    ("ping", {}, Ping()),
    (
        "room_message",
        JOIN
        | {
            "message_type": "image",
            "content": "Regardez cette photo !",
            "media_url": "/uploads/images/photo123.jpg",
            "media_type": "image/jpeg",
        },
        sends(
            content="Regardez cette photo !",
            content_type=ContentType.IMAGE,
            attachments=file("/uploads/images/photo123.jpg", "photo123.jpg", mime_type="image/jpeg"),
        ),
    ),
    (
        "room_message",
        JOIN
        | {
            "message_type": "audio",
            "content": "Message vocal",
            "media_url": "/uploads/audio/voice123.mp3",
            "duration": 15.5,
        },
        sends(
            content="Message vocal",
            content_type=ContentType.AUDIO,
            attachments=file("/uploads/audio/voice123.mp3", "voice123.mp3", duration=15.5),
        ),
    ),
    (
        "room_message",
        JOIN | {"content": "x", "reply_to": 7, "clientMessageId": "a", "media_type": "image/png"},
        sends(content="x", reply_to=7, client_message_id="a"),
    ),
    ("typing", JOIN | {"is_typing": True}, SetTyping(conversation_id="general", active=True)),
    ("typing", {"to_user_id": 456, "is_typing": False}, SetTyping(to_user="456", active=False)),
    ("read", {"message_id": 123}, MarkRead(message_ids=(123,))),
    ("authenticate", {"token": "x.y.z"}, Authenticate(token="x.y.z")),
]

ROOM_MESSAGE = {
    "id": 123,
    "seq": 1,
    "room": "general",
    "user_id": 789,
    "username": "alice",
    "content": "Bonjour tout le monde !",
    "message_type": "text",
    "created_at": NOW_TEXT,
}
DIRECT_MESSAGE = {
    "id": 124,
    "seq": 1,
    "from_user_id": 789,
    "from_username": "alice",
    "to_user_id": 456,
    "content": "Salut, comment ça va ?",
    "message_type": "text",
    "created_at": NOW_TEXT,
}
FULL_SHOWN = {
    "id": 124,
    "seq": 8,
    "room": "1",
    "user_id": 5,
    "username": "alice",
    "content": "Voici",
    "message_type": "text",
    "created_at": NOW_TEXT,
    "reply_to": 123,
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
SPOKEN_SHOWN = {
    "id": 126,
    "seq": 10,
    "from_user_id": "system",
    "from_username": "system",
    "content": "Bob joined",
    "message_type": "system",
    "created_at": NOW_TEXT,
}
LIKED = replace(SAID, reactions=(Reaction(emoji="👍", user_ids=("456", "carol")),))
LIKES = [{"emoji": "👍", "count": 2, "user_ids": [456, "carol"]}]
MISSED: list[tuple[str, dict[str, Any]]] = [("room_message", ROOM_MESSAGE)]

SEEN = MessageView(message=SAID, sender=ALICE)
WHISPER = MessageView(message=WHISPERED, sender=ALICE)

ANSWERS: list[tuple[str, Reply, list[tuple[str, dict[str, Any]]]]] = [
    (
        "join_room",
        Joined(conversation=GENERAL, last_seq=9, online=("789",)),
        [("join_room_ack", JOIN | {"success": True, "message": "Joined room successfully"})],
    ),
    (
        "join_room",
        Joined(conversation=GENERAL, messages=(SEEN,), last_seq=1),
        [("join_room_ack", JOIN | {"success": True, "message": "Joined room successfully"}), *MISSED],
    ),
    ("join_room", HistoryPage(conversation=GENERAL, messages=(SEEN,), last_seq=1), MISSED),
    (
        "leave_room",
        Left(conversation_id="general"),
        [("leave_room_ack", JOIN | {"success": True, "message": "Left room successfully"})],
    ),
    ("room_message", Sent(conversation=GENERAL, view=SEEN), []),
    ("room_message", Sent(conversation=GENERAL, view=SEEN, repeated=True), MISSED),
    (
        "direct_message",
        Sent(conversation=TWO, view=WHISPER, repeated=True),
        [("direct_message", DIRECT_MESSAGE)],
    ),
    (
        "room_history",
        HistoryPage(
            conversation=GENERAL,
            messages=(SEEN, MessageView(message=LIKED, sender=ALICE)),
            last_seq=2,
        ),
        [
            (
                "message_history",
                {
                    "room": "general",
                    "messages": [ROOM_MESSAGE | {"reactions": []}, ROOM_MESSAGE | {"reactions": LIKES}],
                    "total": 2,
                    "has_more": False,
                },
            )
        ],
    ),
    (
        "dm_history",
        HistoryPage(conversation=TWO, with_user="456", messages=(WHISPER,), has_more=True, last_seq=7),
        [
            (
                "message_history",
                {
                    "with_user": 456,
                    "messages": [DIRECT_MESSAGE | {"user_id": 789, "username": "alice", "reactions": []}],
                    "total": 7,
                    "has_more": True,
                },
            )
        ],
    ),
    (
        "dm_history",
        HistoryPage(conversation=None, with_user="bob"),
        [("message_history", {"with_user": "bob", "messages": [], "total": 0, "has_more": False})],
    ),
    ("typing", Done(), []),
    ("read", Marked(), []),
    (
        "read",
        Marked(again=(PAIR_READ,)),
        [
            (
                "message_read",
                {"message_id": message_id, "with_user": "bob", "user_id": 5, "read_at": NOW_TEXT},
            )
            for message_id in (123, 126)
        ],
    ),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE, expires_at=NOW)),
        [("authenticate_ack", {"success": True, "expires_at": NOW_TEXT})],
    ),
    (
        "authenticate",
        Authenticated(identity=Identity(profile=ALICE)),
        [("authenticate_ack", {"success": True, "expires_at": None})],
    ),
    ("ping", Pong(), [("pong", {"timestamp": NOW_TEXT})]),
]


def sent(conversation: Conversation, view: MessageView) -> MessageSent:
    return MessageSent(conversation=conversation, message=view.message, sender=view.sender)


def seen(status: Status, *, crossed: bool) -> PresenceChanged:
    return PresenceChanged(
        user=ALICE, status=status, crossed=crossed, last_seen=NOW, conversations=(), at=NOW
    )


def receipts(place: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("message_read", {"message_id": message_id, **place, "user_id": 5, "read_at": NOW_TEXT})
        for message_id in (123, 126)
    ]


EVENTS: list[tuple[Event, str | None, list[tuple[str, dict[str, Any]]]]] = [
    (sent(GENERAL, SEEN), None, MISSED),
    (sent(GROUP, VIEWS[1]), None, [("room_message", FULL_SHOWN)]),
    (sent(TWO, WHISPER), "789", [("direct_message", DIRECT_MESSAGE)]),
    (sent(TWO, WHISPER), "456", [("direct_message", DIRECT_MESSAGE)]),
    (
        sent(PAIR, PAIR_VIEWS[-1]),
        "bob",
        [("direct_message", SPOKEN_SHOWN | {"to_user_id": "bob", "with_user": 5})],
    ),
    (
        sent(PAIR, PAIR_VIEWS[-1]),
        "5",
        [("direct_message", SPOKEN_SHOWN | {"to_user_id": 5, "with_user": "bob"})],
    ),
    (
        TypingChanged(conversation=GENERAL, user=ALICE, active=True, at=NOW),
        None,
        [("typing", JOIN | {"user_id": 789, "username": "alice", "is_typing": True})],
    ),
    (
        TypingChanged(conversation=TWO, user=ALICE, active=False, at=NOW),
        "456",
        [("typing", {"with_user": 789, "user_id": 789, "username": "alice", "is_typing": False})],
    ),
    (READ, None, receipts({"room": "1"})),
    (PAIR_READ, "bob", receipts({"with_user": 5})),
    (PAIR_READ, "5", receipts({"with_user": "bob"})),
    (replace(READ, receipts=()), None, []),
    (seen(Status.ONLINE, crossed=True), None, [("status", {"user_id": 789, "status": "online"})]),
    (seen(Status.BUSY, crossed=False), None, [("status", {"user_id": 789, "status": "busy"})]),
    (
        RoomEntered(conversation=GENERAL, user=ALICE, at=NOW),
        None,
        [("user_connected", {"user_id": 789, "username": "alice", "room": "general"})],
    ),
    (
        RoomLeft(conversation=GENERAL, user=ALICE, at=NOW),
        None,
        [("user_disconnected", {"user_id": 789, "username": "alice", "room": "general"})],
    ),
    (ConversationDeleted(conversation=GROUP, at=NOW), None, []),
]

REFUSED: list[tuple[str, dict[str, Any], type[ClientError], dict[str, object]]] = [
    ("join_room", {"room": "dm:1:2"}, RoomNotFound, {"room": "dm:1:2"}),
    ("room_message", {"room": "dm:1:2", "content": "x"}, RoomNotFound, {"room": "dm:1:2"}),
    ("room_history", {"room": "dm:1:2"}, RoomNotFound, {"room": "dm:1:2"}),
    ("typing", {"room": "dm:1:2", "is_typing": True}, RoomNotFound, {"room": "dm:1:2"}),
    ("typing", {"is_typing": True}, InvalidFormat, {}),
    (
        "typing",
        {"room": 1, "to_user_id": 2, "is_typing": True},
        InvalidFormat,
        {"room": "1", "to_user_id": 2},
    ),
    ("room_message", {"room": 1, "message_type": "system"}, InvalidFormat, {"room": "1"}),
    ("room_message", {"room": 1, "message_type": "reaction", "content": "👍"}, InvalidFormat, {"room": "1"}),
    ("direct_message", {"to_user_id": 2, "message_type": "reaction"}, InvalidFormat, {"to_user_id": 2}),
    ("edit_message", {"message_id": 1}, InvalidFormat, {"message_id": 1}),
    ("reaction_removed", {"message_id": 1}, InvalidFormat, {"message_id": 1}),
]


def frame(name: str, data: object) -> Frame:
    """As the seed's `send` writes it."""
    return Frame(name, {"type": name, "data": data, "timestamp": "2023-11-20T10:30:00.000Z"})


def told(frames: tuple[Frame, ...]) -> list[tuple[str, object]]:
    """What frames say; all have the envelope of the document and nothing besides."""
    for one in frames:
        assert list(one.payload) == ["type", "data", "timestamp"]
        assert one.payload["type"] == one.name
        assert one.payload["timestamp"] == NOW_TEXT
    return [(one.name, one.payload["data"]) for one in frames]


@pytest.mark.parametrize(("name", "data", "command"), SEED)
def test_what_clients_send_is_understood(name: str, data: dict[str, Any], command: Command) -> None:
    (request,) = WS_CHAT.requests(frame(name, data))
    assert request.error is None
    assert request.command == command


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("room_message", {"room": 1, "message_type": "reaction", "reply_to": 9, "content": "thumbs up"}),
        ("direct_message", {"to_user_id": 2, "message_type": "reaction", "reply_to": 9, "content": "👍👍"}),
        ("reaction_removed", {"message_id": 9, "content": "x"}),
    ],
)
def test_what_is_no_emoji_is_told_by_the_name_of_the_frames_field(name: str, data: dict[str, Any]) -> None:
    (request,) = WS_CHAT.requests(frame(name, data))
    assert isinstance(request.error, InvalidFormat)
    assert request.error.details["field"] == "content"


@pytest.mark.parametrize(("name", "reply", "frames"), ANSWERS)
def test_commands_are_answered_as_the_contract_says(
    name: str, reply: Reply, frames: list[tuple[str, object]]
) -> None:
    data = next(data for known, data, _ in SEED if known == name)
    (request,) = WS_CHAT.requests(frame(name, data))
    answer = WS_CHAT.reply(request, reply, NOW)
    assert answer.ack is None
    assert told(answer.frames) == frames


@pytest.mark.parametrize(("event", "viewer", "frames"), EVENTS)
def test_events_are_told_as_the_contract_says(
    event: Event, viewer: str | None, frames: list[tuple[str, object]]
) -> None:
    assert told(WS_CHAT.render(event, viewer)) == frames


@pytest.mark.parametrize(("name", "data", "error", "named"), REFUSED)
def test_what_cannot_be_is_refused_and_names_where(
    name: str, data: dict[str, Any], error: type[ClientError], named: dict[str, object]
) -> None:
    (request,) = WS_CHAT.requests(frame(name, data))
    assert type(request.error) is error
    assert request.named == named


def test_a_ping_needs_no_data() -> None:
    for payload in ({"type": "ping"}, {"type": "ping", "data": None}):
        (request,) = WS_CHAT.requests(Frame("ping", payload))
        assert request.command == Ping()


def test_an_error_is_the_documents() -> None:
    (request,) = WS_CHAT.requests(frame("join_room", {"room": "nonexistent_room"}))
    answer = WS_CHAT.refusal(request, RoomNotFound(), NOW)
    assert told(answer.frames) == [
        (
            "error",
            {
                "message": "There is no such conversation.",
                "code": "ROOM_NOT_FOUND",
                "details": {"room": "nonexistent_room"},
            },
        )
    ]
    (refused,) = WS_CHAT.refusal(None, AuthFailed(), NOW).frames
    assert refused.payload["data"]["details"] == {}


def test_a_notification_is_told_with_all_that_it_has() -> None:
    assert told(WS_CHAT.render(Notified(user_id="5", notification=NOTICES[1], at=NOW))) == [
        (
            "notification",
            {
                "id": 12,
                "type": "group_invite",
                "data": {"group_id": "1"},
                "created_at": NOW_TEXT,
                "title": "Salon",
                "body": "Venez",
            },
        )
    ]


def test_history_with_a_user_says_to_whom_each_message_went() -> None:
    page = HistoryPage(conversation=PAIR, with_user="bob", messages=PAIR_VIEWS, last_seq=10)
    (request,) = WS_CHAT.requests(frame("dm_history", {"with_user": "bob"}))
    ((_, data),) = told(WS_CHAT.reply(request, page, NOW).frames)
    assert isinstance(data, dict)
    went = [(item["from_user_id"], item["to_user_id"]) for item in data["messages"]]
    assert went == [("bob", 5), (5, "bob"), ("system", 5)]


def test_the_envelope_has_the_time_of_what_happened() -> None:
    late = replace(FULL, created_at=NOW.replace(hour=8))
    (shown,) = WS_CHAT.render(MessageSent(conversation=GROUP, message=late, sender=BOB))
    assert shown.payload["timestamp"] == shown.payload["data"]["created_at"] == "2025-10-23T08:30:00.120Z"


def test_a_connection_hears_direct_messages_and_what_it_joined() -> None:
    assert WS_CHAT.hears is Hears.DIRECT
    assert WS_CHAT.writes_need_join
    assert WS_CHAT.names_partner
    assert WS_CHAT.budget == "ws-chat"


# --- batches -----------------------------------------------------------------------------------------


def batch(*frames: object) -> Frame:
    return frame("message_batch", {"messages": list(frames)})


def test_a_batch_asks_for_what_its_frames_do_in_order() -> None:
    inner = [frame(name, data).payload for name, data, _ in SEED]
    requests = WS_CHAT.requests(batch(*inner))
    assert [request.command for request in requests] == [command for _, _, command in SEED]
    assert [request.named["index"] for request in requests] == list(range(len(SEED)))


def test_a_wrong_frame_in_a_batch_does_not_hold_up_the_others() -> None:
    nested = frame("message_batch", {"messages": []}).payload
    requests = WS_CHAT.requests(batch({"type": "ping"}, 5, None, {}, {"type": 1}, nested, {"type": "ping"}))
    assert [request.command for request in requests] == [Ping(), *[None] * 5, Ping()]
    for index, request in enumerate(requests[1:6], start=1):
        assert isinstance(request.error, InvalidFormat)
        (refused,) = WS_CHAT.refusal(request, request.error, NOW).frames
        assert refused.payload["data"]["details"]["index"] == index


def test_a_batch_has_a_hundred_frames_at_the_most() -> None:
    ping = {"type": "ping"}
    assert len(WS_CHAT.requests(batch(*[ping] * 100))) == 100
    (request,) = WS_CHAT.requests(batch(*[ping] * 101))
    assert isinstance(request.error, InvalidFormat)


@pytest.mark.parametrize("data", [None, {}, {"messages": None}, {"messages": {}}, {"messages": "x"}, [], 5])
def test_a_batch_without_a_list_is_refused(data: object) -> None:
    (request,) = WS_CHAT.requests(frame("message_batch", data))
    assert isinstance(request.error, InvalidFormat)


def test_frames_of_one_moment_go_out_in_one() -> None:
    frames = [*WS_CHAT.render(sent(GENERAL, SEEN)), *WS_CHAT.render(sent(TWO, WHISPER), "456")]
    together = WS_CHAT.batch(frames, NOW)
    assert told((together,)) == [("message_batch", {"messages": [one.payload for one in frames]})]


@given(payload=wrong.json | st.lists(wrong.json, max_size=5).map(lambda inner: batch(*inner).payload))
def test_no_batch_whatever_makes_it_raise(payload: object) -> None:
    for request in WS_CHAT.requests(Frame("message_batch", payload)):
        assert (request.command is None) != (request.error is None)
