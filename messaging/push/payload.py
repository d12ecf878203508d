"""What is pushed: small JSON objects for a page's service worker to show. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from messaging.domain.events import MessageSent, Notified
from messaging.domain.models import Kind
from messaging.push.keys import encoded

MAX_BYTES = 3_000
"""A push service takes 4,096 bytes, encryption included (RFC 8291, section 4)."""
_BODY_CHARACTERS = 500

Payload = dict[str, Any]


def of_message(event: MessageSent, *, content: bool) -> bytes:
    """A message; without its words and names where they are not to leave the server."""
    conversation, message = event.conversation, event.message
    shown: Payload = {
        "type": "message",
        "conversationId": conversation.id,
        "messageId": str(message.id),
        "seq": message.seq,
        "senderId": message.sender_id,
    }
    if content:
        name = event.sender.display_name
        inside = conversation.kind is Kind.GROUP and conversation.name
        shown |= {
            "title": f"{name} · {conversation.name}" if inside else name,
            "body": message.content[:_BODY_CHARACTERS],
        }
    return _bounded(shown)


def of_notification(event: Notified, *, content: bool) -> bytes:
    """A notification; only that there is one where its words are not to leave the server."""
    note = event.notification
    shown: Payload = {"type": "notification", "id": note.id}
    if content:
        shown |= {"kind": note.type, "data": json.loads(note.data)}
        shown |= {} if note.title is None else {"title": note.title}
        shown |= {} if note.body is None else {"body": note.body[:_BODY_CHARACTERS]}
    return _bounded(shown)


def topic(event: MessageSent | Notified) -> str:
    """What a later push may take the place of, while neither has been delivered (RFC 8030, section 5.4): of a
    conversation the last message is enough. At most 32 characters of base64url."""
    about = f"n:{event.notification.id}" if isinstance(event, Notified) else f"c:{event.conversation.id}"
    return encoded(hashlib.sha256(about.encode()).digest()[:24])


def _bounded(shown: Payload) -> bytes:
    """As JSON, with what is long left out until it fits."""
    for name in ("", "data", "body", "title", "conversationId"):
        shown.pop(name, None)
        text = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= MAX_BYTES:
            return text
    return b"{}"
