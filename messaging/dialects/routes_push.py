"""Web Push over REST: what a browser needs to subscribe, and where it can be reached then."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from messaging.dialects import envelopes, shapes
from messaging.dialects.answers import SUCCESS, TEXT, TIME, shape
from messaging.dialects.base import Payload
from messaging.dialects.fields import Field, Text
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Route
from messaging.domain.commands import Command, GetPushKey, SubscribePush, UnsubscribePush
from messaging.domain.errors import InvalidFormat
from messaging.domain.replies import Done, PushKey, SubscriptionReply

MAX_ENDPOINT_CHARACTERS = 2_048
_POINT_BYTES = 65
_SECRET_BYTES = 16
_KEY = re.compile(r"[A-Za-z0-9_-]{1,120}={0,2}")
_EXAMPLE_KEY = "BFroQjXodfCoNVby38i2aZo6ow5TaEuidOvUIWLCH6jyFVW-UPT1W4x9HaWX8Rkgd4hUnS0Q0HaYxvi-62zhfBI"
_ENDPOINT = re.compile(r"https://[^\s/?#@\\]+(?:[/?][^\s#\\]*)?")


class Endpoint(Text):
    """The address of a browser at its push service."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(MAX_ENDPOINT_CHARACTERS, **kwargs)
        self.document = {**self.document, "format": "uri", "description": "https, in no private network."}

    def read(self, value: object) -> str:
        """The address, as it is."""
        text = super().read(value)
        if not _ENDPOINT.fullmatch(text) or not text.isascii():
            raise ValueError("must be an https URL")
        return text


class Keys(Field[tuple[str, str]]):
    """What to encrypt with for a browser: `p256dh` and `auth`, as it gives them."""

    document: Mapping[str, Any] = {
        "type": "object",
        "required": ["p256dh", "auth"],
        "properties": {name: {"type": "string", "description": "base64url"} for name in ("p256dh", "auth")},
    }

    def read(self, value: object) -> tuple[str, str]:
        """Both, checked for their length."""
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        return _key(value, "p256dh", _POINT_BYTES), _key(value, "auth", _SECRET_BYTES)


def _key(keys: dict[object, object], name: str, length: int) -> str:
    text = keys.get(name)
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ValueError(f"must have {name} in base64url")
    plain = text.rstrip("=")
    try:
        data = base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        data = b""
    if len(data) != length:
        raise ValueError(f"must have {name} of {length} bytes")
    return plain


class BrowserSubscription(Schema):
    """What `PushManager.subscribe()` gives a page, as JSON."""

    endpoint = Endpoint(required=True)
    keys = Keys(required=True)


class ThisEndpoint(Schema):
    """Which browser."""

    endpoint = Endpoint()


class ThisEndpointToo(Schema):
    """The same in a query, for clients that send no body with DELETE."""

    endpoint = Endpoint()


def _subscribe(endpoint: str, keys: tuple[str, str]) -> Command:
    return SubscribePush(endpoint=endpoint, p256dh=keys[0], auth=keys[1])


def _unsubscribe(endpoint: str | None = None) -> Command:
    if endpoint is None:
        raise InvalidFormat("endpoint is missing.", field="endpoint")
    return UnsubscribePush(endpoint=endpoint)


def _public_key(reply: PushKey) -> Payload:
    return {"publicKey": reply.public_key}


def _subscription(reply: SubscriptionReply) -> Payload:
    kept = reply.subscription
    return {"subscription": {"endpoint": kept.endpoint, "createdAt": shapes.time(kept.created_at)}}


def _is_new(reply: SubscriptionReply) -> bool:
    return reply.created


PUSH_ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="getPushKey",
        method="GET",
        path="/api/push/key",
        summary="The key that browsers subscribe with; null where this server does not push",
        command=GetPushKey,
        reply=PushKey,
        shape=_public_key,
        answer=shape(publicKey={"type": ["string", "null"]}),
    ),
    Route(
        name="subscribePush",
        method="POST",
        path="/api/push/subscriptions",
        summary="Be told by Web Push, in this browser, what comes while you have no connection",
        command=_subscribe,
        reply=SubscriptionReply,
        shape=_subscription,
        made=_is_new,
        makes=True,
        answer=shape(subscription=shape(endpoint=TEXT, createdAt=TIME)),
        body=BrowserSubscription(),
        example={
            "endpoint": "https://push.example.com/send/abc",
            "keys": {
                "p256dh": _EXAMPLE_KEY,
                "auth": "AAAAAAAAAAAAAAAAAAAAAA",
            },
        },
    ),
    Route(
        name="unsubscribePush",
        method="DELETE",
        path="/api/push/subscriptions",
        summary="Be no longer told in this browser; it may be named in the query or the body",
        command=_unsubscribe,
        reply=Done,
        shape=envelopes.done,
        answer=shape(success=SUCCESS),
        query=ThisEndpointToo(),
        body=ThisEndpoint(),
        example={"endpoint": "https://push.example.com/send/abc"},
    ),
)
