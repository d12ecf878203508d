"""What a webhook is sent, and how the receiver can tell that it is true."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from messaging.domain.models import Conversation, Hook, Kind, Message, MessageView, Profile
from messaging.webhooks.payload import Telling, headers, key_of, tellings

NOW = datetime(2026, 11, 20, 12, 0, 0, 123_000, tzinfo=UTC)


def message(seq: int = 1, conversation_id: str = "c") -> Message:
    return Message(
        id=100 + seq,
        conversation_id=conversation_id,
        seq=seq,
        sender_id="alice",
        sender_seq=1,
        content="hello",
        created_at=NOW,
    )


def created(seq: int = 1, conversation_id: str = "c") -> Hook:
    told = message(seq, conversation_id)
    return Hook(id=told.id, lane=conversation_id, type="message.created", at=NOW, message=told)


def view(of: Hook) -> MessageView:
    assert of.message is not None
    return MessageView(message=of.message, sender=Profile(id="alice", email="alice@example.org"))


def test_a_message_is_told_as_clients_see_it_and_without_addresses() -> None:
    [told] = tellings(created(), view(created()), None)
    body = json.loads(told.body)
    assert (told.id, body["type"], body["timestamp"]) == (
        "message_101",
        "message.created",
        "2026-11-20T12:00:00.123Z",
    )
    assert body["data"]["message"]["content"] == "hello"
    assert b"@" not in told.body


def test_with_the_first_message_of_two_users_their_conversation_is_told_first() -> None:
    pair = Conversation(id="dm:alice:bob", kind=Kind.DIRECT, created_at=NOW, updated_at=NOW, member_count=2)
    hook = created(1, pair.id)
    assert [each.type for each in tellings(hook, view(hook), pair)] == [
        "conversation.created",
        "message.created",
    ]
    later = created(2, pair.id)
    assert [each.type for each in tellings(later, view(later), pair)] == ["message.created"]


def test_what_else_is_kept_goes_out_beside_the_message() -> None:
    hook = Hook(id=7, lane="c", type="message.reported", at=NOW, data='{"reason":"spam"}', message_id=101)
    [told] = tellings(hook, view(created()), None)
    assert told.id == "event_7"
    assert json.loads(told.body)["data"].keys() == {"reason", "message"}


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example by which the libraries of Standard Webhooks are tested.
    told = Telling(id="msg_p5jXN8AQM9LWM0D4loKWxJek", type="x", body=b'{"test": 2432232314}')
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    sent = headers(told, key, datetime.fromtimestamp(1_614_265_330, UTC))
    assert sent["webhook-timestamp"] == "1614265330"
    assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_without_the_prefix_is_the_key_itself() -> None:
    assert key_of("plain") == b"plain"
    with pytest.raises(ValueError, match="base64"):
        key_of("whsec_%%%")


def test_the_trace_context_goes_on() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    hook = Hook(id=1, lane="c", type="x", at=NOW, trace=trace)
    assert headers(tellings(hook, None, None)[0], b"k", NOW)["traceparent"] == trace
