"""Express lanes: connections to MongoDB's primary on which small commands cost little.

PyMongo makes each connection (it finds the primary, encrypts, signs in) and hands it over; from then on the
lane speaks OP_MSG on it itself (MongoDB wire protocol, https://www.mongodb.com/docs/manual/reference/
mongodb-wire-protocol/): one future for each command, where the driver starts two tasks, waits for them twice
and goes through its pool. An insert of a few messages costs a third of the CPU that way, a small find a
quarter (docs/performance.md).

Nothing depends on a lane. Who finds none that is free asks PyMongo as ever; where a lane breaks, it is given
up, PyMongo notices by its own means that the primary is gone, and new lanes are asked of it. Commands on a
lane are neither tried again nor part of a session.
"""

from __future__ import annotations

import asyncio
import logging
import math
import struct
import time
from asyncio import Future
from contextlib import AsyncExitStack
from contextvars import Context
from typing import Any, Final, cast

import bson
import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure, PyMongoError

from messaging.stores.mongodb_documents import Document

MAX_LANES: Final = 6
_HEADER: Final = struct.Struct("<iiiiIB")
"""Length, request, the request that is answered, operation, flags, kind of the section."""
_OP_MSG: Final = 2013
_BODY: Final = 0
_SERVER_MARGIN_SECONDS: Final = 0.1
"""So much earlier than we do, MongoDB itself gives up."""
_OPENING_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0
"""After a lane could not be had, PyMongo is not asked for one again so soon."""
_NOT_PRIMARY: Final = frozenset({10107, 13435, 13436, 10058, 11600, 11602, 91, 189})
"""NotWritablePrimary NotPrimaryNoSecondaryOk NotPrimaryOrSecondary LegacyNotPrimary InterruptedAtShutdown
InterruptedDueToReplStateChange ShutdownInProgress PrimarySteppedDown."""

log = logging.getLogger(__name__)


class Express:
    """The lanes of one client. All of one event loop."""

    def __init__(self, client: AsyncMongoClient[Document]) -> None:
        self._client = client
        self._free: list[Lane] = []
        self._lanes: set[Lane] = set()
        self._holders: set[asyncio.Task[None]] = set()
        self._opening = False
        self._pause_until = 0.0
        self._closed = False
        pool = client.options.pool_options
        self._at_most = min(MAX_LANES, (pool.max_pool_size or 100) // 4)
        """A lane is one connection less for everything else."""
        self._known: object = None
        self._primaries: set[tuple[str, int | None]] = set()
        self._idle_seconds = pool.max_idle_time_seconds or math.inf

    def lane(self) -> Lane | None:
        """A lane that nobody uses; None where there is none now: there may be one more soon."""
        while self._free:
            lane = self._free.pop()
            if lane.lost.done():
                continue
            if lane.idle_seconds <= self._idle_seconds and self._is_primary(lane.address):
                return lane
            lane.end()
        if not self._opening and not self._closed and len(self._holders) < self._at_most:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._pause_until:
                self._opening = True
                # In a context of its own: whoever asks first has a limit of time, which is not the lane's.
                holder = loop.create_task(self._hold(), name="express lane", context=Context())
                self._holders.add(holder)
                holder.add_done_callback(self._holders.discard)
        return None

    @property
    def free(self) -> int:
        """How many lanes nobody uses."""
        return sum(not lane.lost.done() for lane in self._free)

    async def close(self) -> None:
        """End all lanes."""
        self._closed = True
        for lane in list(self._lanes):
            lane.end()
        if self._holders:  # one that is being opened is waited for: PyMongo leaves its socket behind else
            await asyncio.wait(list(self._holders), timeout=_OPENING_SECONDS)

    def _is_primary(self, address: tuple[str, int | None]) -> bool:
        """Whether PyMongo holds a server to be one that can be written to."""
        known = self._client.topology_description
        if known is not self._known:
            servers = known.server_descriptions().values()
            self._primaries = {each.address for each in servers if each.is_writable}
            self._known = known
        return address in self._primaries

    async def _hold(self) -> None:
        """Have a connection, and give it back when it is lost."""
        lane: Lane | None = None
        try:
            # Private, as is what is found in it: see docs/design.md. There is no other way to a connection.
            async with AsyncExitStack() as stack:
                with pymongo.timeout(_OPENING_SECONDS - 1):  # it ends by itself: nobody may cancel it
                    way = await cast(Any, self._client)._conn_for_writes(None, "express")  # noqa: SLF001
                    connection = await stack.enter_async_context(way)
                transport, before = connection.conn.conn
                lane = Lane(self, connection.address, transport, before)
                self._opening = False
                self._lanes.add(lane)
                try:
                    self.done(lane)
                    error = await asyncio.shield(lane.lost)
                    if error is not None:
                        raise error  # in here, so that PyMongo hears of it
                finally:
                    self._lanes.discard(lane)
                    lane.end()
                    await connection.close_conn(None)
        except PyMongoError as error:
            if lane is None:
                self._pause_until = asyncio.get_running_loop().time() + _PAUSE_SECONDS
                log.debug("no express lane to MongoDB: %s", type(error).__name__)
        except (AttributeError, TypeError, ValueError):
            self._closed = True
            log.warning(
                "this PyMongo gives no connections away: MongoDB is asked as PyMongo does it", exc_info=True
            )
        finally:
            if lane is None:
                self._opening = False

    def done(self, lane: Lane) -> None:
        """The lane is free."""
        if self._closed:
            lane.end()
        else:
            self._free.append(lane)


class Lane(asyncio.Protocol):
    """One connection; one command on it at a time."""

    def __init__(
        self,
        express: Express,
        address: tuple[str, int | None],
        transport: asyncio.Transport,
        before: asyncio.BufferedProtocol,
    ) -> None:
        self.address = address
        """Of the server, as PyMongo names it."""
        self.lost: Future[PyMongoError | None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone, with the reason; None where we gave it up ourselves."""
        self._express = express
        self._transport = transport
        self._before = before
        self._request = 0
        self._answer: Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = bytearray()
        self._used_at = time.monotonic()
        transport.set_protocol(self)
        transport.resume_reading()

    @property
    def idle_seconds(self) -> float:
        """How long nobody has used it."""
        return time.monotonic() - self._used_at

    async def ask(self, command: Document, codec: CodecOptions[Document], seconds: float) -> Document:
        """MongoDB's answer to a command, which names its database as `$db`.

        Raises NetworkTimeout after so many seconds, AutoReconnect where the connection breaks, and
        NotPrimaryError: then nobody knows what became of it; OperationFailure where MongoDB refuses.
        """
        return self.read(await self.answer(command, seconds), codec)

    async def answer(self, command: Document, seconds: float) -> bytes:
        """The same, to be given to `read` where more is to be known of it than its bytes show."""
        limit = {"maxTimeMS": max(1, int((seconds - _SERVER_MARGIN_SECONDS) * 1000))}
        try:
            body = bson.encode(command | limit)
        except BaseException:
            self._express.done(self)
            raise
        return await self._exchange(body, seconds)

    def read(self, answer: bytes, codec: CodecOptions[Document]) -> Document:
        """What an answer says. Raises NotPrimaryError and OperationFailure, as `ask`."""
        reply = bson.decode(answer, codec)
        if not reply.get("ok"):
            self._refused(reply)
        return reply

    def end(self, error: PyMongoError | None = None) -> None:
        """Give the connection up, as `error` says."""
        if not self.lost.done():
            self.lost.set_result(error)
        self._transport.abort()

    # --- what the loop calls ---

    def data_received(self, data: bytes) -> None:
        """As asyncio.Protocol."""
        if self._received:
            self._received += data
            data = bytes(self._received) if self._is_whole(self._received) else b""
        elif not self._is_whole(data):
            self._received += data
            data = b""
        if data:
            self._received.clear()
            self._take(data)

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio.Protocol."""
        self._before.connection_lost(error)
        broke = AutoReconnect("the connection to MongoDB broke")
        if not self.lost.done():
            self.lost.set_result(broke)
        self._settle(broke)

    # --- inside ---

    def _exchange(self, body: bytes, seconds: float) -> Future[bytes]:
        if self.lost.done():
            raise self.lost.result() or AutoReconnect("the connection to MongoDB was given up")
        self._request = (self._request + 1) & 0x7FFFFFFF
        loop = asyncio.get_running_loop()
        answer = self._answer = loop.create_future()
        self._timer = loop.call_later(seconds, self._late)
        head = _HEADER.pack(_HEADER.size + len(body), self._request, 0, _OP_MSG, 0, _BODY)
        self._transport.write(head + body)
        return answer

    def _is_whole(self, received: bytes | bytearray) -> bool:
        return len(received) >= _HEADER.size and len(received) >= _HEADER.unpack_from(received)[0]

    def _take(self, data: bytes) -> None:
        length, _, answers, operation, flags, kind = _HEADER.unpack_from(data)
        if (len(data), answers, operation, flags, kind) != (length, self._request, _OP_MSG, 0, _BODY):
            self._give_up(AutoReconnect("MongoDB sent something that was not asked for"))
            return
        self._used_at = time.monotonic()
        self._settle(data[_HEADER.size :])
        self._express.done(self)

    def _late(self) -> None:
        self._give_up(NetworkTimeout("MongoDB took too long"))

    def _give_up(self, error: PyMongoError) -> None:
        self._settle(error)
        self.end(error)

    def _settle(self, result: bytes | PyMongoError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(result, bytes):
            answer.set_result(result)
        else:
            answer.set_exception(result)

    def _refused(self, reply: Document) -> None:
        message, code = str(reply.get("errmsg", "")), reply.get("code")
        if code in _NOT_PRIMARY:
            error = NotPrimaryError(message, reply)
            self._give_up(error)
            raise error
        raise OperationFailure(message, code, reply)
