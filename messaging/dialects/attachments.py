"""Attachments as clients send them: a URL, or an object with one (docs/protocols.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from messaging.dialects.fields import Field, Id, Seconds, Text, Whole, each
from messaging.dialects.forms import Schema
from messaging.domain.ids import MAX_ID_CHARACTERS
from messaging.domain.links import MAX_URL_CHARACTERS, link
from messaging.domain.models import Attachment

MAX_ATTACHMENTS = 10
MAX_FILE_NAME_CHARACTERS = 255
MAX_MIME_CHARACTERS = 127


def file_name(link: str) -> str:
    """What a file is called whose sender did not say: its URL's last path segment, else the host."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return link
    return parts.path.rstrip("/").rpartition("/")[2] or parts.netloc or link


class Url(Field[str]):
    """Where a file is."""

    document: Mapping[str, Any] = {
        "type": "string",
        "maxLength": MAX_URL_CHARACTERS,
        "description": "`https:`, `http:`, or a path of one leading `/`.",
    }

    def read(self, value: object) -> str:
        """The URL as it is."""
        return link(value)


class AttachmentId(Id):
    """The sender's own id for a file."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": MAX_ID_CHARACTERS,
    }

    def read(self, value: object) -> str:
        """The id as a string."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("must be a string")
        return Text(MAX_ID_CHARACTERS).read(str(value))


class AttachmentForm(Schema):
    """An attachment that is more than its URL."""

    id = AttachmentId()
    url = Url(required=True)
    file_name = Text(MAX_FILE_NAME_CHARACTERS)
    file_size = Whole()
    mime_type = Text(MAX_MIME_CHARACTERS)
    duration = Seconds()


_FORM = AttachmentForm()


class Attachments(Field[tuple[Attachment, ...]]):
    """The files that belong to a message. One without an id is called after its place: `0`, `1`, …"""

    document: Mapping[str, Any] = {
        "type": "array",
        "maxItems": MAX_ATTACHMENTS,
        "items": {
            "oneOf": [
                Url.document,
                {
                    "type": "object",
                    "required": ["url"],
                    "properties": {f.data_key: dict(f.document) for f in _FORM.parts.values()},
                },
            ]
        },
    }

    def read(self, value: object) -> tuple[Attachment, ...]:
        """The attachments, complete with id, name and size."""
        if not isinstance(value, list):
            raise ValueError("must be a list")
        if len(value) > MAX_ATTACHMENTS:
            raise ValueError(f"must have at most {MAX_ATTACHMENTS} items")
        return each(value, _attachment)


def _attachment(index: int, value: object) -> Attachment:
    given: dict[str, Any]
    if isinstance(value, str):
        given = {"url": link(value)}
    elif isinstance(value, dict):
        given = _FORM.load(value)
    else:
        raise ValueError("must be a URL or an object")
    return Attachment(**{"id": str(index), "file_name": file_name(given["url"])} | given)
