"""The parts of the store that uploads need: what is known of them, and their bytes.

`Uploads` is a part of `ports.Store`; `Files` is a port of its own, for bytes may be kept elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from messaging.domain.uploads import Attached, Upload

KEY_BYTES = 32
"""How long a shared key is."""


class Uploads(Protocol):
    """What is known of uploads, and which messages they belong to. Durable as everything of a store is."""

    async def keep_upload(self, upload: Upload) -> None:
        """Keep this, in the place of what was known of it."""

    async def change_upload(self, upload: Upload) -> bool:
        """Keep this in the place of what is known of it; False where nothing is, and nothing was kept."""

    async def uploads(self, upload_ids: Collection[str]) -> Mapping[str, Upload]:
        """Those that are known, ready or not, by id."""

    async def uploaded_bytes(self, user_id: str) -> int:
        """How much a user's uploads take together."""

    async def uploads_of(self, user_id: str, *, after: str = "", limit: int) -> Sequence[Upload]:
        """The first `limit` of a user's uploads past the id `after`, by rising id, ready or not."""

    async def attach(self, places: Sequence[Attached]) -> None:
        """Keep that these uploads belong to these messages. Again: nothing changes."""

    async def attached(self, upload_id: str) -> Sequence[Attached]:
        """All messages that the upload belongs to."""

    async def detach(self, places: Sequence[Attached]) -> None:
        """These messages have it no more."""

    async def unchecked_uploads(self, *, before: datetime, limit: int) -> Sequence[Upload]:
        """Uploads that were made, and last checked, before that time; the longest unchecked first."""

    async def check_upload(self, upload_id: str, *, at: datetime) -> None:
        """It was checked at that time."""

    async def drop_upload(self, upload_id: str) -> None:
        """Know of it no more."""

    async def shared_key(self, name: str) -> bytes:
        """`KEY_BYTES` random bytes, made at the first call, and the same for ever in all processes."""


class FileGone(Exception):
    """There is no file of this name (any more)."""


class Files(Protocol):
    """Keeps files under names of letters, digits, `-`, `_` and `.`, each written once.

    Raises Unavailable when the storage cannot be reached or refuses to write.
    """

    kind: str
    """What keeps them, in words."""

    async def open(self) -> None:
        """Make what is missing. Idempotent."""

    async def close(self) -> None:
        """Let go. Idempotent."""

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a file; durable when this returns. When it fails, or `chunks` does, or it is cancelled,
        there is no such file. Holds a few MiB of it in memory at the most."""

    def read(self, name: str, *, start: int = 0, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `start` on, in chunks. Raises FileGone, at the first of them at the latest."""

    async def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
