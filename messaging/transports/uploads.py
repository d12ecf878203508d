"""Uploads over HTTP: files come in and go out as streams, never whole in memory.

A file waits on this process's disk until it is known what it is, and goes to where it is kept only then.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO
from urllib.parse import quote

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from messaging.dialects.uploads import upload_body
from messaging.domain.commands import (
    AbandonUpload,
    Actor,
    BeginUpload,
    Command,
    FinishUpload,
    GetUpload,
)
from messaging.domain.errors import ClientError, InvalidFormat, MessageNotFound, PayloadTooLarge
from messaging.domain.replies import UploadReply
from messaging.domain.uploads import Upload
from messaging.files import contents
from messaging.gateway.gateway import Gateway
from messaging.service.ports_uploads import FileGone, Files
from messaging.service.uploads import open_link, thumbnail_of
from messaging.transports import strict_json
from messaging.transports.rest import Rest

CHUNK_BYTES = 128 * 1024
STALL_SECONDS = 20.0
"""How long nothing may come of a file under way."""
UPLOAD_SECONDS = 600.0
"""How long a whole file may take to come."""
_FIELD = "file"
_THUMBNAIL_BYTES = 1 << 22
"""More than any thumbnail has."""
_UNREADABLE = (
    HttpProcessingError,
    web.RequestPayloadError,
    ConnectionError,
    ValueError,
    RuntimeError,
    AssertionError,
)
"""What aiohttp raises of a form that is none."""
_PRIVATE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "private, max-age=3600",
    "Accept-Ranges": "bytes",
}

logger = logging.getLogger("messaging.http")


class Uploads:
    """The routes of uploads."""

    def __init__(self, gateway: Gateway, rest: Rest, files: Files, *, max_bytes: int) -> None:
        self._gateway = gateway
        self._rest = rest
        self._files = files
        self._max_bytes = max_bytes
        # One at a time: a picture takes up to 200 MB to decode.
        self._studio = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def routes(self) -> list[web.RouteDef]:
        """What is served, and by whom."""
        return [web.post("/api/uploads", self.take), web.get("/api/uploads/{id}", self.give)]

    async def close(self, _app: web.Application) -> None:
        """Look at no more pictures."""
        self._studio.shutdown(wait=False, cancel_futures=True)

    # --- in ---

    async def take(self, request: web.Request) -> web.StreamResponse:
        """A file comes in; 201 with what it is called, once it is stored durably."""
        identity = await self._rest.sign_in(request)
        actor = Actor(identity=identity, service=identity.service, admin=identity.admin)
        if (request.content_length or 0) > self._max_bytes + CHUNK_BYTES:
            raise self._too_large()
        part = await _file_part(request)
        # The whole form is a little more than the file; one that does not say may be as large as can be.
        at_most = min(request.content_length or self._max_bytes, self._max_bytes)
        begun = await self._perform(actor, BeginUpload(file_name=part.filename or "", at_most=at_most))
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                upload = await self._receive(part, begun)
            finished = await self._perform(actor, FinishUpload(upload=upload))
        except TimeoutError:
            await self._abandon(actor, begun)
            raise InvalidFormat("The file takes too long to come in.") from None
        except BaseException:
            await asyncio.shield(self._abandon(actor, begun))
            raise
        return web.Response(
            status=201, text=strict_json.dumps(upload_body(finished)), content_type="application/json"
        )

    async def _receive(self, part: BodyPartReader, begun: Upload) -> Upload:
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as waiting:
            size = await self._fill(waiting, part)
            upload = replace(begun, file_size=size, mime_type=await _type_of(waiting))
            if upload.mime_type in contents.PICTURES:
                waiting.seek(0)
                seen = await loop.run_in_executor(self._studio, contents.picture, waiting, upload.mime_type)
                upload = replace(upload, width=seen.width, height=seen.height, thumbnail=True)
                await self._files.write(thumbnail_of(upload.id), _once(seen.thumbnail))
            waiting.seek(0)
            await self._files.write(upload.id, _read(waiting))
        return upload

    async def _fill(self, waiting: IO[bytes], part: BodyPartReader) -> int:
        size = 0
        while chunk := await _next(part):
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            await asyncio.to_thread(waiting.write, chunk)
        if size == 0:
            raise InvalidFormat("The file is empty.", field=_FIELD)
        return size

    def _too_large(self) -> ClientError:
        return PayloadTooLarge("The file is too large.", limit=self._max_bytes)

    async def _abandon(self, actor: Actor, begun: Upload) -> None:
        """Keep nothing of it; what cannot be removed now is collected later."""
        try:
            await self._files.delete(thumbnail_of(begun.id))
            await self._files.delete(begun.id)
            await self._gateway.perform(actor, AbandonUpload(upload_id=begun.id))
        except ClientError as error:
            logger.warning("an upload that broke off is left for the collection: %s", error.code)

    async def _perform(self, actor: Actor, command: Command) -> Upload:
        reply = (await self._gateway.perform(actor, command)).reply
        if not isinstance(reply, UploadReply):
            raise TypeError(f"{type(command).__name__} cannot be answered with {type(reply).__name__}")
        return reply.upload

    # --- out ---

    async def give(self, request: web.Request) -> web.StreamResponse:
        """A file goes out, whole or the part that is asked for (RFC 9110, section 14)."""
        upload = await self._found(request)
        small = request.query.get("thumbnail") in ("1", "true")
        if small and not upload.thumbnail:
            raise MessageNotFound("This upload has no thumbnail.")
        if small:
            return await self._give_thumbnail(upload)
        start, length, status = _range(request, upload.file_size)
        headers = {**_PRIVATE, **_disposition(upload), "Content-Length": str(length)}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{upload.file_size}"
        return await self._send(request, upload.id, headers, start, length, status)

    async def _found(self, request: web.Request) -> Upload:
        upload_id, query = request.match_info["id"], request.query
        if "signature" in query:
            return await open_link(self._gateway.ctx, upload_id, query.get("expires", ""), query["signature"])
        identity = await self._rest.sign_in(request, in_query=True)
        actor = Actor(identity=identity, service=identity.service, admin=identity.admin)
        return await self._perform(actor, GetUpload(upload_id=upload_id))

    async def _give_thumbnail(self, upload: Upload) -> web.StreamResponse:
        try:
            kept = [
                chunk async for chunk in self._files.read(thumbnail_of(upload.id), length=_THUMBNAIL_BYTES)
            ]
        except FileGone:
            raise MessageNotFound("There is no such upload.") from None
        headers = {**_PRIVATE, "Content-Disposition": "inline"}
        del headers["Accept-Ranges"]
        return web.Response(body=b"".join(kept), content_type=contents.THUMBNAIL_TYPE, headers=headers)

    async def _send(
        self, request: web.Request, name: str, headers: dict[str, str], start: int, length: int, status: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={**self._rest.cors(request), **headers})
        chunks = self._files.read(name, start=start, length=length)
        try:
            first = b"" if request.method == "HEAD" or length == 0 else await anext(chunks)
        except (FileGone, StopAsyncIteration):
            raise MessageNotFound("There is no such upload.") from None
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await _give_chunk(response, first)
            async for chunk in chunks:
                await _give_chunk(response, chunk)
        except ConnectionError:
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001  refusal_of logs what is no refusal
            self._gateway.refusal_of(error)
            if request.transport is not None:
                request.transport.abort()  # so that nobody takes a part for the whole
        return response


# --- what comes in ---


async def _file_part(request: web.Request) -> BodyPartReader:
    """The part of the form that is the file; InvalidFormat where there is none."""
    if not request.content_type.startswith("multipart/"):
        raise InvalidFormat("Send a form (multipart/form-data) with the file in the field `file`.")
    try:
        async with asyncio.timeout(STALL_SECONDS):
            async for part in await request.multipart():
                if isinstance(part, BodyPartReader) and part.name == _FIELD:
                    return part
                if part is not None:
                    await part.release()
    except TimeoutError:
        raise InvalidFormat("The file takes too long to come in.") from None
    except _UNREADABLE as error:
        raise InvalidFormat("The form cannot be read.") from error
    raise InvalidFormat("The form has no field `file`.", field=_FIELD)


async def _next(part: BodyPartReader) -> bytes:
    try:
        async with asyncio.timeout(STALL_SECONDS):
            return bytes(await part.read_chunk(CHUNK_BYTES))
    except _UNREADABLE as error:
        raise InvalidFormat("The form cannot be read.") from error


async def _type_of(waiting: IO[bytes]) -> str:
    waiting.seek(0)
    return await asyncio.to_thread(contents.mime_type, waiting.read(contents.HEAD_BYTES))


async def _read(waiting: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(waiting.read, CHUNK_BYTES):
        yield chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


# --- what goes out ---


async def _give_chunk(response: web.StreamResponse, chunk: bytes) -> None:
    """Write; TimeoutError for a client that takes nothing for so long."""
    async with asyncio.timeout(STALL_SECONDS):
        await response.write(chunk)


def _disposition(upload: Upload) -> dict[str, str]:
    """Shown in place where that is harmless, else saved; its name after RFC 6266."""
    shown = upload.mime_type in contents.SHOWN
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in upload.file_name
    )
    how = "inline" if shown else "attachment"
    name = quote(upload.file_name, safe="")
    return {
        "Content-Type": upload.mime_type if shown else contents.UNKNOWN,
        "Content-Disposition": f"{how}; filename=\"{plain}\"; filename*=UTF-8''{name}",
    }


def _range(request: web.Request, size: int) -> tuple[int, int, int]:
    """Where to begin, how much to send, and the status. A range that cannot be read is ignored."""
    try:
        asked = request.http_range
    except ValueError:
        return 0, size, 200
    start, stop, _ = asked.indices(size)
    if asked.start is None and asked.stop is None:
        return 0, size, 200
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop - start, 206
