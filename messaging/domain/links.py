"""Links that clients show or follow: to a file of a message, or to a user's picture."""

from __future__ import annotations

import re

MAX_URL_CHARACTERS = 2_048

# Browsers read a backslash as a slash, so `/\host` would leave this host as `//host` does.
_FORBIDDEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\]")
_URL = re.compile(r"https?://[^/?#]+([/?#].*)?|/(?!/).*", re.IGNORECASE)


def link(value: object) -> str:
    """An `https:` or `http:` URL or a path of one leading `/`; ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("must be a URL")
    if not 1 <= len(value) <= MAX_URL_CHARACTERS:
        raise ValueError(f"must have 1 to {MAX_URL_CHARACTERS} characters")
    if _FORBIDDEN.search(value):
        raise ValueError("must not contain white space, control characters or backslashes")
    if not _URL.fullmatch(value):
        raise ValueError("must begin with https://, http:// or a single /")
    return value
