"""Files in MongoDB's GridFS, which all processes share: a collection of files, and one of their chunks.

Written chunk by chunk here, as the GridFS specification says, since the driver's own writer gathers 32 MB
before it sends any; read by the driver. Whatever is asked of the driver is carried through, as everywhere
(`messaging/service/carrying.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from gridfs import AsyncGridFSBucket, NoFile
from pymongo import ASCENDING, AsyncMongoClient
from pymongo.errors import PyMongoError

from messaging.domain.errors import Unavailable
from messaging.service.carrying import carried_through
from messaging.service.ports_uploads import FileGone

R = TypeVar("R")

DEFAULT_DATABASE = "messaging"
BUCKET = "uploads"
CHUNK_BYTES = 512 * 1024
_SELECTION_MILLISECONDS = 3_000
_CHUNK_MILLISECONDS = 10_000
"""How long the database may take for one chunk."""


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
            timeoutMS=_CHUNK_MILLISECONDS,
            appname="messaging uploads",
        )
        database = self._client.get_default_database(DEFAULT_DATABASE)
        self._bucket = AsyncGridFSBucket(database, bucket_name=BUCKET)
        self._files, self._chunks = database[f"{BUCKET}.files"], database[f"{BUCKET}.chunks"]

    async def open(self) -> None:
        """See `Files.open`."""
        await _asked(self._files.create_index([("filename", ASCENDING), ("uploadDate", ASCENDING)]))
        await _asked(self._chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True))

    async def close(self) -> None:
        """See `Files.close`."""
        await self._client.close()

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Files.write`. The file appears with its last write; a crash, or who gives up, may leave chunks
        of none, which nothing shows, and which go with the record of the upload."""
        try:
            size = await self._write_chunks(name, chunks)
            file = {
                "_id": name,
                "length": size,
                "chunkSize": CHUNK_BYTES,
                "uploadDate": datetime.now(UTC),
                "filename": name,
            }
            await _asked(self._files.insert_one(file))
        except BaseException:
            await _asked(self._chunks.delete_many({"files_id": name}))
            raise

    async def _write_chunks(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        size = number = 0
        async for data in _of_one_size(chunks):
            await _asked(self._chunks.insert_one({"files_id": name, "n": number, "data": data}))
            number += 1
            size += len(data)
        return size

    async def read(self, name: str, *, start: int = 0, length: int) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        file = await _asked(self._bucket.open_download_stream(name))
        await _asked(file.seek(start))
        while length > 0 and (chunk := await _asked(file.read(min(CHUNK_BYTES, length)))):
            length -= len(chunk)
            yield chunk

    async def delete(self, name: str) -> None:
        """See `Files.delete`. Chunks that a crash left of no file go, too."""
        await _asked(self._files.delete_one({"_id": name}))
        await _asked(self._chunks.delete_many({"files_id": name}))


async def _asked(work: Coroutine[Any, Any, R]) -> R:
    """What the database answers, which is carried through. Raises FileGone and Unavailable."""
    return await carried_through(_told(work))


async def _told(work: Coroutine[Any, Any, R]) -> R:
    try:
        return await work
    except NoFile:
        raise FileGone from None
    except PyMongoError as error:
        raise Unavailable from error


async def _of_one_size(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in chunks of CHUNK_BYTES, the last one excepted, as GridFS wants them."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        while len(gathered) >= CHUNK_BYTES:
            yield bytes(gathered[:CHUNK_BYTES])
            del gathered[:CHUNK_BYTES]
    if gathered:
        yield bytes(gathered)
