"""What a webhook is sent: the body, and the headers that prove where it comes from and when. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from messaging import __version__
from messaging.dialects import shapes
from messaging.dialects.shapes import Payload
from messaging.domain.models import Conversation, ConversationView, Hook, Kind, MessageView
from messaging.service.hooks import CONVERSATION_CREATED

SECRET_PREFIX = "whsec_"  # noqa: S105 - the beginning of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One delivery. `id` stays the same however often it is tried."""

    id: str
    type: str
    body: bytes
    trace: str = ""


def tellings(
    hook: Hook, view: MessageView | None, conversation: Conversation | ConversationView | None
) -> list[Telling]:
    """What is to be delivered for a hook, in this order. With the first message of a direct conversation its
    beginning is told, which nothing else marks."""
    data: Payload = dict(json.loads(hook.data))
    if view is not None:
        data["message"] = shapes.view(view)
    if isinstance(conversation, ConversationView):
        data["conversation"] = shapes.conversation(conversation)
    kind = "message" if hook.message is not None else "event"
    told = [_telling(hook, f"{kind}_{hook.id}", hook.type, data)]
    if isinstance(conversation, Conversation) and _begins(hook, conversation):
        begun = shapes.conversation(ConversationView(conversation=conversation, last_seq=1))
        told.insert(0, _telling(hook, f"direct_{hook.id}", CONVERSATION_CREATED, {"conversation": begun}))
    return told


def _begins(hook: Hook, conversation: Conversation) -> bool:
    first = hook.message is not None and hook.message.seq == 1
    return first and conversation.kind is Kind.DIRECT


def _telling(hook: Hook, delivery: str, type_: str, data: Mapping[str, object]) -> Telling:
    body = orjson.dumps({"type": type_, "timestamp": shapes.time(hook.at), "data": data})
    return Telling(id=delivery, type=type_, body=body, trace=hook.trace)


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: what is in base64 behind `whsec_`, else the secret itself.

    ValueError, which does not quote it, for base64 that is none.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"must be base64 behind {SECRET_PREFIX}") from None


def headers(telling: Telling, key: bytes, at: datetime) -> dict[str, str]:
    """The headers of one try: the delivery's id, this moment, and HMAC-SHA256 over both and the body."""
    seconds = int(at.timestamp())
    signed = f"{telling.id}.{seconds}.".encode() + telling.body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    found = {
        "Content-Type": "application/json",
        "User-Agent": f"messaging/{__version__}",
        "webhook-id": telling.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }
    return found | ({"traceparent": telling.trace} if telling.trace else {})
