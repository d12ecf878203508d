"""What is pushed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from messaging.domain.events import MessageSent, Notified
from messaging.domain.models import Conversation, Kind, Message, Notification, Profile
from messaging.push import payload
from messaging.push.payload import MAX_BYTES

NOW = datetime(2026, 11, 26, tzinfo=UTC)
GROUP = Conversation(id="g", kind=Kind.GROUP, name="Salon", created_at=NOW, updated_at=NOW)
MESSAGE = Message(
    id=7, conversation_id="g", seq=3, sender_id="alice", sender_seq=1, content="Bonjour", created_at=NOW
)
SENT = MessageSent(conversation=GROUP, message=MESSAGE, sender=Profile(id="alice", name="Alice"))
NOTE = Notification(
    id="9", type="booking", title="Tomorrow", body="at ten", data='{"booking":7}', created_at=NOW, position=2
)
TOLD = Notified(user_id="bob", notification=NOTE, at=NOW)


def test_a_message_says_who_wrote_what_and_where() -> None:
    assert json.loads(payload.of_message(SENT, content=True)) == {
        "type": "message",
        "conversationId": "g",
        "messageId": "7",
        "seq": 3,
        "senderId": "alice",
        "title": "Alice · Salon",
        "body": "Bonjour",
    }
    direct = replace(SENT, conversation=replace(GROUP, kind=Kind.DIRECT, name=None))
    assert json.loads(payload.of_message(direct, content=True))["title"] == "Alice"


def test_a_notification_says_what_it_is() -> None:
    assert json.loads(payload.of_notification(TOLD, content=True)) == {
        "type": "notification",
        "id": "9",
        "kind": "booking",
        "data": {"booking": 7},
        "title": "Tomorrow",
        "body": "at ten",
    }


def test_without_content_no_word_leaves_the_server() -> None:
    for said in (payload.of_message(SENT, content=False), payload.of_notification(TOLD, content=False)):
        for word in (b"Alice", b"Salon", b"Bonjour", b"booking", b"Tomorrow", b"ten"):
            assert word not in said
    assert json.loads(payload.of_message(SENT, content=False))["messageId"] == "7"
    assert json.loads(payload.of_notification(TOLD, content=False)) == {"type": "notification", "id": "9"}


def test_what_is_pushed_always_fits() -> None:
    long = replace(SENT, message=replace(MESSAGE, content="🎉" * 4_000))
    assert len(payload.of_message(long, content=True)) <= MAX_BYTES
    named = replace(long, sender=Profile(id="alice", name="é" * 2_000))
    assert len(payload.of_message(named, content=True)) <= MAX_BYTES
    big = replace(TOLD, notification=replace(NOTE, data=json.dumps({"x": "é" * 4_000})))
    said = payload.of_notification(big, content=True)
    assert len(said) <= MAX_BYTES
    assert json.loads(said)["title"] == "Tomorrow"


def test_of_a_conversation_the_last_message_is_enough() -> None:
    later = replace(SENT, message=replace(MESSAGE, id=8, seq=4))
    assert payload.topic(SENT) == payload.topic(later)
    other = replace(SENT, conversation=replace(GROUP, id="h"))
    assert len({payload.topic(event) for event in (SENT, other, TOLD)}) == 3
    assert all(len(payload.topic(event)) == 32 for event in (SENT, TOLD))
