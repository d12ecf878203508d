"""What a file is, by its content; and small pictures of pictures.

Nothing here goes by a file's name, or by what its sender says of it. It runs in a thread: Pillow may be busy
for a second.
"""

from __future__ import annotations

import io
from typing import BinaryIO, NamedTuple

import puremagic
from PIL import Image, ImageOps

from messaging.domain.errors import InvalidFormat

UNKNOWN = "application/octet-stream"
HEAD_BYTES = 8 * 1024
"""What is looked at of a file to tell its type."""
MAX_PIXELS = 50_000_000
"""Of a picture; a larger one would take hundreds of megabytes to look at."""
THUMBNAIL_PIXELS = 400
"""A thumbnail's longer side at the most."""
THUMBNAIL_TYPE = "image/webp"

PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
"""Which pictures are checked, and what Pillow calls their formats."""
SOUNDS = frozenset(
    {"audio/mpeg", "audio/ogg", "audio/wav", "audio/mp4", "audio/aac", "audio/flac", "audio/webm"}
)
FILMS = frozenset({"video/mp4", "video/webm", "video/ogg"})
SHOWN = frozenset(PICTURES) | SOUNDS | FILMS
"""What browsers show in place. Everything else is only saved: it might be a page with scripts."""

_OTHER_NAMES = {"audio/wave": "audio/wav", "audio/x-wav": "audio/wav", "application/ogg": "audio/ogg"}
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_ZIP, _OFFICE = b"PK\x03\x04", b"[Content_Types].xml"


class Picture(NamedTuple):
    """A picture's size in pixels as it is shown, and a small one of it."""

    width: int
    height: int
    thumbnail: bytes


def mime_type(head: bytes) -> str:
    """What a file is that begins like this."""
    if head.startswith(_ZIP) and _OFFICE not in head:
        return "application/zip"
    try:
        guesses = puremagic.magic_string(head)
    except (ValueError, puremagic.PureError):
        return UNKNOWN
    found = next((guess.mime_type for guess in guesses if guess.mime_type), UNKNOWN)
    return _OTHER_NAMES.get(found, found)


def picture(file: BinaryIO, kind: str) -> Picture:
    """Look at a picture of one of the types of PICTURES; InvalidFormat if it is broken or too large."""
    try:
        with Image.open(file, formats=[PICTURES[kind]]) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InvalidFormat(f"A picture may have at most {MAX_PIXELS:,} pixels.", field="file")
            width, height = _shown_size(opened)
            opened.draft("RGB", (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))  # JPEG: decode no more than is needed
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
            return Picture(width, height, _encoded(upright))
    except InvalidFormat:
        raise
    except Exception as error:
        raise InvalidFormat("The picture is broken.", field="file") from error


def _shown_size(opened: Image.Image) -> tuple[int, int]:
    """Cameras store pictures as they were held, and say how to turn them (Exif, tag Orientation)."""
    width, height = opened.size
    return (height, width) if opened.getexif().get(_ORIENTATION) in _ON_ITS_SIDE else (width, height)


def _encoded(small: Image.Image) -> bytes:
    """Without the picture's metadata, which may tell where it was taken."""
    mode = "RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB"
    out = io.BytesIO()
    small.convert(mode).save(out, "WEBP", quality=80)
    return out.getvalue()
