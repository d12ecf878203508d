"""What `/ws` says by itself when a device connects."""

from __future__ import annotations

from messaging.dialects.base import Dialect, Frame
from messaging.dialects.unified import Unified
from messaging.domain.commands import (
    CatchUp,
    Greet,
    ListContacts,
)
from messaging.domain.errors import InvalidFormat, MessageNotFound
from messaging.domain.models import (
    MessageView,
    Status,
)
from messaging.domain.replies import (
    ContactList,
    Greeted,
    Missed,
    UserStatus,
)
from tests.dialects.examples import (
    BOB,
    FULL,
    GROUP,
    LATER,
    NOW,
    NOW_TEXT,
    PAIR,
    PLAIN,
)
from tests.dialects.test_unified_told import IN_PAIR, SECOND, said, whole

UNIFIED: Dialect = Unified()


def test_a_device_is_greeted_then_shown_who_is_there_then_what_it_missed() -> None:
    assert [request.command for request in UNIFIED.greeting("phone", None)] == [
        Greet(),
        ListContacts(),
        CatchUp(),
    ]
    assert UNIFIED.greeting("phone", 98)[-1].command == CatchUp(after=98)


def test_the_greeting_is_told_in_frames() -> None:
    greet, contacts, catch_up = UNIFIED.greeting("phone", None)
    assert UNIFIED.reply(greet, Greeted(user_id="5", device="phone"), NOW).frames == (
        whole(
            (
                "connection_event",
                {"event": "connected", "client_id": "phone", "user_id": 5},
                {"client_id": "phone"},
            )
        ),
    )
    statuses = (
        UserStatus(user_id="7", status=Status.AWAY),
        UserStatus(user_id="bob", status=Status.ONLINE, last_seen=NOW),
    )
    assert UNIFIED.reply(contacts, ContactList(statuses=statuses), NOW).frames == (
        whole(("status_update", {"user_id": 7, "status": "away"}, {"sender_id": 7})),
        whole(
            (
                "status_update",
                {"user_id": "bob", "status": "online", "last_seen": NOW_TEXT},
                {"sender_id": "bob"},
            )
        ),
    )
    nothing = Missed(user_id="5", messages=(), more=False, positions=())
    assert UNIFIED.reply(catch_up, nothing, NOW).frames == (
        whole(("connection_event", {"event": "synced", "count": 0, "more": False}, {})),
    )


def test_what_was_missed_comes_as_it_would_have_come_live() -> None:
    request = UNIFIED.greeting("laptop", None)[-1]
    kept = [(GROUP, PLAIN), (PAIR, IN_PAIR), (GROUP, FULL)]
    messages = tuple((where, MessageView(message=message, sender=BOB)) for where, message in kept)
    answer = UNIFIED.reply(request, Missed(user_id="5", messages=messages, more=True, positions=()), LATER)
    live = [UNIFIED.render(said(message, where))[0] for where, message in kept]
    *missed, synced = answer.frames
    assert missed == live
    assert [missed_frame.payload["meta"]["timestamp"] for missed_frame in missed] == [SECOND] * 3
    assert synced.payload["payload"] == {"event": "synced", "count": 3, "more": True}
    assert synced.payload["meta"]["timestamp"] == SECOND + 1


def test_no_client_can_ask_for_a_greeting() -> None:
    for greeting in UNIFIED.greeting("phone", None):
        (request,) = UNIFIED.requests(Frame(greeting.name, {"type": greeting.name, "payload": {}}))
        assert isinstance(request.error, InvalidFormat)


def test_a_refused_greeting_says_which_message_was_named() -> None:
    request = UNIFIED.greeting("phone", 98)[-1]
    (told,) = UNIFIED.refusal(request, MessageNotFound(), NOW).frames
    assert told.payload["payload"]["details"] == {"after": 98}
