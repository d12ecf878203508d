"""Rooms of this process, and what other programs emit into them through Redis.

Our own events never go this way: the hub writes them to sessions. Leaving costs what the leaving client was
in, and an emit is one loop without a task per client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import socketio
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from messaging.transports.socketio import packets
from messaging.transports.socketio.packets import Kind

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""After so long without a message the connection to Redis is tried with a ping."""
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 2.0


class LocalRooms(socketio.AsyncManager):
    """The rooms of the clients of this process, with an index from each client to its rooms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own: dict[tuple[str, str], dict[str | None, None]] = {}

    @property
    def population(self) -> int:
        """How many clients are in rooms, their own included."""
        return len(self._own)

    async def start(self) -> None:
        """Begin to listen to other programs, where there is something to listen to."""

    async def stop(self) -> None:
        """Stop listening."""

    def arrive(self, sid: str, namespace: str, eio_sid: str) -> None:
        """A client has signed in."""
        self.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
        self.basic_enter_room(sid, namespace, sid, eio_sid=eio_sid)

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._own.setdefault((namespace, sid), {})[room] = None

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        super().basic_leave_room(sid, namespace, room)
        self._own.get((namespace, sid), {}).pop(room, None)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        for room in list(self._own.get((namespace, sid), ())):
            self.basic_leave_room(sid, namespace, room)
        self._own.pop((namespace, sid), None)
        self.callbacks.pop(sid, None)

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        return [room for room in self._own.get((namespace, sid), ()) if room is not None]

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write an event to everybody in a room, encoded once; to all in the namespace without a room."""
        room, namespace = to or room, namespace or "/"
        if callback is not None:
            await socketio.AsyncManager.emit(self, event, data, namespace, room, skip_sid, callback)
            return
        skipped = set(skip_sid) if isinstance(skip_sid, list) else {skip_sid}
        parts = packets.write(Kind.EVENT, namespace, [event, *_arguments(data)])
        for sid, eio_sid in self.get_participants(namespace, room):
            if sid not in skipped:
                self.server.write_event(eio_sid, namespace, parts)


class RedisRooms(LocalRooms, socketio.AsyncRedisManager):
    """The same, and it hears what a `socketio.RedisManager(url, write_only=True)` elsewhere emits.

    It never publishes: a failed publish would replace the pub/sub object under the listener.
    """

    pubsub: Any
    redis: Any

    def __init__(self, url: str, *, channel: str = "socketio", verify_certificates: bool = True) -> None:
        options: dict[str, Any] = {
            "socket_keepalive": True,
            "socket_timeout": None,
            "socket_connect_timeout": 3.0,
        }
        if url.startswith("rediss:") and not verify_certificates:
            options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        super().__init__(url, channel=channel, redis_options=options)
        self.listening = asyncio.Event()
        """Set while the subscription is known to work."""
        self._listener: asyncio.Task[None] | None = None

    def initialize(self) -> None:
        """The listener starts with the app, not with the first client."""

    async def start(self) -> None:
        self._listener = asyncio.create_task(self._thread(), name="socketio redis listener")

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self._disconnect()

    async def _handle_emit(self, message: dict[str, Any]) -> None:
        """Another program emits. Acks cannot be brought back to it, so none are asked for."""
        message = {**message, "callback": None}
        data = message["data"]
        if message.get("binary"):
            await super()._handle_emit(message)
            return
        arguments = tuple(data) if isinstance(data, list) else data
        await LocalRooms.emit(
            self,
            message["event"],
            arguments,
            message.get("namespace"),
            message.get("room"),
            message.get("skip_sid"),
        )

    async def _publish(self, data: Any) -> None:
        """What is not here is not ours to change."""

    async def _listen(self) -> AsyncIterator[bytes]:
        """Messages of other programs, for ever: through restarts and silent failures of Redis."""
        while True:
            try:
                self._redis_connect()
                await self.pubsub.subscribe(self.channel)
                async for message in self._messages(self.pubsub):
                    yield message
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("the Socket.IO channel in Redis is lost: %s", type(error).__name__)
            self.listening.clear()
            await self._disconnect()
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.25, 1))  # noqa: S311  no secret

    async def _messages(self, pubsub: PubSub) -> AsyncIterator[bytes]:
        silence = 0.0
        await pubsub.ping()
        while True:
            message = await pubsub.get_message(timeout=QUIET_SECONDS)
            if message is None:
                if silence > ANSWER_SECONDS:
                    raise TimeoutError
                silence += QUIET_SECONDS
                await pubsub.ping()
                continue
            silence = 0.0
            self.listening.set()
            if message["type"] == "message":
                yield message["data"]

    async def _disconnect(self) -> None:
        for part in (self.pubsub, self.redis):
            if part is not None:
                with contextlib.suppress(RedisError, OSError):
                    await part.aclose()
        self.pubsub = self.redis = None


def _arguments(data: Any) -> list[Any]:
    """A tuple is many arguments, None is none, anything else is one."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]
