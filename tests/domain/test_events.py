"""Events: each has a topic, and that topic is whom it concerns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from messaging.domain import events
from messaging.domain.events import Event, topic_of
from messaging.domain.models import (
    Conversation,
    ConversationView,
    Kind,
    Message,
    Notification,
    Profile,
    Status,
)

T0 = datetime(2026, 11, 20, tzinfo=UTC)
CONVERSATION = Conversation(id="7", kind=Kind.GROUP, created_at=T0, updated_at=T0)
VIEW = ConversationView(conversation=CONVERSATION, last_seq=0)
BOB = Profile(id="bob")
MESSAGE = Message(id=1, conversation_id="7", seq=1, sender_id="bob", sender_seq=1, content="x", created_at=T0)

NOTIFICATION = Notification(id="1", type="note", created_at=T0)

TOPICS: list[tuple[Event, str]] = [
    (events.MessageSent(conversation=CONVERSATION, message=MESSAGE, sender=BOB), "c:7"),
    (events.TypingChanged(conversation=CONVERSATION, user=BOB, active=True, at=T0), "c:7"),
    (
        events.MessagesRead(
            conversation=CONVERSATION, reader=BOB, cursor=1, own_read=0, receipts=(), pushed=True, at=T0
        ),
        "c:7",
    ),
    (
        events.MessageEdited(
            conversation=CONVERSATION, message=MESSAGE, sender=BOB, read_at=None, user_id="bob", rev=1, at=T0
        ),
        "c:7",
    ),
    (
        events.MessageDeleted(conversation=CONVERSATION, message=MESSAGE, user_id="bob", rev=1, at=T0),
        "c:7",
    ),
    (
        events.ReactionChanged(
            conversation=CONVERSATION, message=MESSAGE, user=BOB, emoji="👍", added=True, rev=1, at=T0
        ),
        "c:7",
    ),
    (
        events.MessagesDelivered(user_id="bob", conversation=CONVERSATION, deliveries=(), at=T0),
        "u:bob",
    ),
    (events.ConversationChanged(view=VIEW, at=T0), "c:7"),
    (events.ConversationDeleted(conversation=CONVERSATION, at=T0), "c:7"),
    (events.RoomEntered(conversation=CONVERSATION, user=BOB, at=T0), "c:7"),
    (events.RoomLeft(conversation=CONVERSATION, user=BOB, at=T0), "c:7"),
    (events.MemberAdded(user_id="bob", since=0, view=VIEW, at=T0), "u:bob"),
    (events.MemberRemoved(user_id="bob", conversation=CONVERSATION, at=T0), "u:bob"),
    (events.DeviceChanged(user_id="bob", device="phone", connected=True, at=T0), "u:bob"),
    (events.Notified(user_id="bob", notification=NOTIFICATION, at=T0), "u:bob"),
    (events.UnreadChanged(user_id="bob", total=0, at=T0), "u:bob"),
    (events.PlaceChanged(user_id="bob", view=VIEW, position=1, at=T0), "u:bob"),
    (
        events.PresenceChanged(
            user=BOB, status=Status.AWAY, crossed=False, last_seen=None, conversations=("7",), at=T0
        ),
        events.EVERYBODY,
    ),
]


def test_every_kind_of_event_goes_to_the_topic_of_whom_it_concerns() -> None:
    assert {type(event) for event, _ in TOPICS} == set(get_args(Event))
    for event, topic in TOPICS:
        assert topic_of(event) == topic


def test_users_and_conversations_of_one_name_have_different_topics() -> None:
    assert events.user_topic("7") != events.conversation_topic("7")
    assert events.EVERYBODY not in (events.user_topic("*"), events.conversation_topic("*"))
