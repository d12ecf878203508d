"""What the value of a setting may be: fields that read it from its text, or say what it must be.

What they say never quotes the value, since any of them may be a secret in the wrong place.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate

from messaging.backplanes import parse_rules
from messaging.domain import ids
from messaging.push.keys import private_key
from messaging.service import hooks
from messaging.tokens import public_key, secret_key
from messaging.webhooks.payload import key_of

MIN_WEBHOOK_SECRET_BYTES = 24
"""As Standard Webhooks asks."""
_MANY = 2**31 - 1
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?"
)


class Parsed(fields.Field[Any]):
    """A value that `parse` makes from the text, or refuses with a ValueError that does not quote it."""

    def __init__(self, parse: Callable[[str], object], *, verbatim: bool = False) -> None:
        super().__init__()
        self._parse = parse
        self.verbatim = verbatim

    def _deserialize(
        self, value: str, attr: str | None, data: Mapping[str, Any] | None, **_: object
    ) -> object:
        del attr, data
        try:
            return self._parse(value)
        except ValueError as wrong:
            raise ValidationError(str(wrong)) from None


def whole(low: int, high: int = _MANY) -> fields.Integer:
    between = validate.Range(low, high, error=f"must be from {low:,} to {high:,}")
    return fields.Integer(validate=between, error_messages={"invalid": "must be a whole number"})


def seconds(high: int) -> fields.Float:
    wrong = f"must be a number of seconds from 0 to {high:,}"
    messages: dict[str, Any] = {"invalid": wrong, "special": wrong, "too_large": wrong}
    return fields.Float(validate=validate.Range(0, high, error=wrong), error_messages=messages)


def switch() -> fields.Boolean:
    return fields.Boolean(error_messages={"invalid": "must be true or false"})


def one_of(*choices: str, form: Callable[[str], str]) -> Parsed:
    def parse(text: str) -> str:
        if form(text) not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return form(text)

    return Parsed(parse)


def url(*schemes: str) -> Parsed:
    def parse(text: str) -> str:
        if not text.startswith(schemes) or any(character.isspace() for character in text):
            raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}")
        return text

    return Parsed(parse)


def _words(text: str) -> list[str]:
    """What stands between commas or white space."""
    return re.split(r"[,\s]+", text.strip(", \t\r\n"))


def names(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if word)


def room_names(text: str) -> tuple[str, ...]:
    rooms = tuple(dict.fromkeys(word for word in _words(text) if word))
    if not all(ids.is_room_name(name) for name in rooms):
        raise ValueError("must be names of 1 to 64 of A-Z a-z 0-9 _ . - with commas between them")
    return rooms


def rules(text: str) -> str:
    try:
        parse_rules(text)
    except ValueError:
        raise ValueError("must be a rate limit such as 60/10 seconds;2000/hour") from None
    return text


def no_space(text: str) -> str:
    if any(character.isspace() for character in text):
        raise ValueError("must not contain white space")
    return text


def secret(text: str) -> str:
    secret_key(text)
    return text


def pem(text: str) -> str:
    pem = text.replace("\\n", "\n")
    public_key(pem)
    return pem


def collector(text: str) -> str:
    if importlib.util.find_spec("opentelemetry") is None:
        raise ValueError("needs OpenTelemetry: pip install messaging-server[otel]")
    if not text.startswith(("https://", "http://")) or any(character.isspace() for character in text):
        raise ValueError("must be a URL that begins with https:// or http://")
    return text


def object_storage(text: str) -> str:
    if importlib.util.find_spec("obstore") is None:
        raise ValueError("needs obstore: pip install messaging-server[s3]")
    schemes = ("s3://", "gs://", "az://", "https://", "file://")
    if not text.startswith(schemes) or any(character.isspace() for character in text):
        raise ValueError(f"must be a URL that begins with one of {', '.join(schemes)}")
    return text


def vapid(text: str) -> str:
    private_key(text)
    return text


def vapid_subject(text: str) -> str:
    if not re.fullmatch(r"(mailto:[^\s@]+@[^\s@]+|https://[^\s]+)", text):
        raise ValueError("must be an address such as mailto:operator@example.com, or an https URL")
    return text


def webhook_secret(text: str) -> str:
    if len(key_of(text.strip())) < MIN_WEBHOOK_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_WEBHOOK_SECRET_BYTES} bytes")
    return text.strip()


def webhook_events(text: str) -> frozenset[str]:
    events = names(text)
    if not events <= set(hooks.TYPES):
        raise ValueError(f"must be some of {', '.join(hooks.TYPES)}")
    return events


def origins(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(origin(word) for word in _words(text) if word))


def origin(text: str) -> str:
    """The form in which browsers send this origin (RFC 6454, section 6.2); `*` and `null` stay.

    ValueError for what no browser would ever send as one.
    """
    if text in ("*", "null"):
        return text
    plain = text.lower().removesuffix("/")
    match = _ORIGIN.fullmatch(plain)
    if match is None or int(match["port"] or 0) > 65_535:
        raise ValueError("must be *, null, or origins such as https://app.example.com, without a path")
    if match["port"] and int(match["port"]) == _DEFAULT_PORTS.get(match["scheme"]):
        return f"{match['scheme']}://{match['host']}"
    return plain
