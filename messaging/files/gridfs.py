"""Files in MongoDB's GridFS, which all processes share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from gridfs import AsyncGridFSBucket, NoFile
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from messaging.domain.errors import Unavailable
from messaging.service.ports_uploads import FileGone

DEFAULT_DATABASE = "messaging"
_CHUNK_BYTES = 128 * 1024
_SELECTION_MILLISECONDS = 3_000


class GridFsFiles:
    """`Files` in the bucket `uploads` of the database that `uri` names, written by a majority, journalled."""

    kind = "GridFS"

    def __init__(self, uri: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri,
            w="majority",
            journal=True,
            readPreference="primary",
            serverSelectionTimeoutMS=_SELECTION_MILLISECONDS,
            appname="messaging uploads",
        )
        database = self._client.get_default_database(DEFAULT_DATABASE)
        self._bucket = AsyncGridFSBucket(database, bucket_name="uploads", chunk_size_bytes=_CHUNK_BYTES)

    async def open(self) -> None:
        """See `Files.open`. GridFS makes its own indexes with the first file."""

    async def close(self) -> None:
        """See `Files.close`."""
        await self._client.close()

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Files.write`. A crash may leave chunks of no file; nothing shows them."""
        with _available():
            file = self._bucket.open_upload_stream_with_id(name, name)
            try:
                async for chunk in chunks:
                    await file.write(chunk)
                await file.close()
            except BaseException:
                await file.abort()
                raise

    async def read(self, name: str, *, start: int = 0, length: int) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        with _available():
            try:
                file = await self._bucket.open_download_stream(name)
            except NoFile:
                raise FileGone from None
            await file.seek(start)
            while length > 0 and (chunk := await file.read(min(_CHUNK_BYTES, length))):
                length -= len(chunk)
                yield chunk

    async def delete(self, name: str) -> None:
        """See `Files.delete`."""
        with _available():
            try:
                await self._bucket.delete(name)
            except NoFile:
                pass


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise Unavailable from error
