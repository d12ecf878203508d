"""Uploads: files that users sent over HTTP, to be attached to messages."""

from __future__ import annotations

import re
from datetime import datetime

from messaging.domain.values import dataclass

PATH = "/api/uploads/"
"""Where uploads are; behind it, an upload's id."""
MAX_FILE_NAME_CHARACTERS = 255
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, and those that let a name read otherwise than it is (`exe.gpj`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file. `ready` once all of it is stored; `mime_type` is what its content is, whatever its sender said.

    Of pictures the size in pixels is known, and whether there is a thumbnail.
    """

    id: str
    user_id: str
    file_name: str
    file_size: int = 0
    mime_type: str = "application/octet-stream"
    width: int | None = None
    height: int | None = None
    thumbnail: bool = False
    ready: bool = False
    created_at: datetime

    @property
    def path(self) -> str:
        """Where it is, from the server's root."""
        return f"{PATH}{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """That an upload belongs to a message."""

    upload_id: str
    conversation_id: str
    message_id: int


def is_upload_id(text: str) -> bool:
    """Whether an upload may be called so."""
    return _ID.fullmatch(text) is not None


def upload_of(url: str) -> str | None:
    """The id of the upload that an attachment's URL names; None for any other URL.

    Whatever begins like an upload's path is taken for one, so that nothing gets by in another spelling.
    """
    if not url.startswith(PATH):
        return None
    return re.split(r"[/?#]", url[len(PATH) :], maxsplit=1)[0]


def clean_file_name(given: str) -> str:
    """What a file is called that came under this name: without folders, and nothing that misleads."""
    last = re.split(r"[/\\]", _UNFIT.sub("", given))[-1].strip(" .")
    if len(last) > MAX_FILE_NAME_CHARACTERS:
        stem, dot, ending = last.rpartition(".")
        ending = dot + ending if dot and len(ending) <= 16 else ""
        last = (stem or last)[: MAX_FILE_NAME_CHARACTERS - len(ending)] + ending
    return last or "file"
