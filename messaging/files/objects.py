"""Files in object storage (S3 and what speaks like it), by `obstore`; the extra `s3`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from messaging.domain.errors import Unavailable
from messaging.service.ports_uploads import FileGone

_PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes as a part of a larger file."""
_CHUNK_BYTES = 512 * 1024


class ObjectFiles:
    """`Files` under the prefix that `url` names, such as `s3://bucket/uploads`. Keys, region and endpoint
    come from the usual variables (`AWS_ACCESS_KEY_ID`, …), which obstore reads."""

    kind = "object storage"

    def __init__(self, url: str) -> None:
        self._store: ObjectStore = from_url(url)

    async def open(self) -> None:
        """See `Files.open`. The bucket is the operator's to make."""

    async def close(self) -> None:
        """See `Files.close`."""

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Files.write`. A file appears when its last part is there, and then whole."""
        failure: BaseException | None = None

        async def given() -> AsyncIterator[bytes]:
            nonlocal failure
            try:
                async for chunk in chunks:
                    yield chunk
            except BaseException as error:
                failure = error  # the library would tell it as one of its own
                raise

        try:
            with _available():
                await obstore.put_async(
                    self._store, name, given(), use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=1
                )
        except Exception:
            if failure is not None:
                raise failure from None
            raise

    async def read(self, name: str, *, start: int = 0, length: int) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        with _available():
            try:
                # Past its end there is nothing to be had of an object, not even nothing.
                end = min(start + length, (await obstore.head_async(self._store, name))["size"])
                while start < end:
                    size = min(_CHUNK_BYTES, end - start)
                    chunk = await obstore.get_range_async(self._store, name, start=start, length=size)
                    start += size
                    yield bytes(chunk)
            except (NotFoundError, FileNotFoundError):
                raise FileGone from None

    async def delete(self, name: str) -> None:
        """See `Files.delete`."""
        with _available():
            try:
                await obstore.delete_async(self._store, name)
            except (NotFoundError, FileNotFoundError):
                pass


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise Unavailable from error
