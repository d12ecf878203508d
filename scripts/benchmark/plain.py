"""The second peer: what one writes with python-socketio alone, without any of our code.

    python -m scripts.benchmark.plain      (PORT, JWT_SECRET and MONGODB_URI from the environment)

The same events and the same work as `node/server.js`: token at the handshake, cached membership, validation,
one durable insert under a unique index, the event to the room, the ack.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import socketio
import uvloop
from aiohttp import web
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import DuplicateKeyError
from socketio.exceptions import ConnectionRefusedError as Refused

NAMESPACE = "/messaging"
MEMBERSHIP_SECONDS = 60.0
MAX_MESSAGE_LENGTH = 4_000

Document = dict[str, Any]


class Messaging:
    """The commands of the namespace."""

    def __init__(self, server: Any, mongodb: AsyncMongoClient[Document], secret: str) -> None:
        durable = WriteConcern(w="majority", j=True)
        self.database = mongodb.get_default_database(write_concern=durable)
        self.messages = self.database["messages"]
        self._server, self._secret = server, secret
        self._users: dict[str, Document] = {}
        self._seats: dict[tuple[str, str], tuple[bool, float]] = {}
        self._counters: dict[str, int] = {}

    async def prepare(self) -> None:
        """Make the indexes."""
        await self.database["members"].create_index({"conversationId": 1, "userId": 1}, unique=True)
        await self.messages.create_index({"conversationId": 1, "seq": 1}, unique=True)

    async def connect(self, sid: str, _environ: Document, auth: Document | None) -> None:
        try:
            claims = jwt.decode(
                (auth or {})["token"], self._secret, algorithms=["HS256"], options={"require": ["exp", "sub"]}
            )
        except (KeyError, jwt.InvalidTokenError):
            raise Refused("AUTH_FAILED") from None
        self._users[sid] = {"id": claims["sub"], "role": claims.get("role", "user")}

    def disconnect(self, sid: str, _reason: str) -> None:
        self._users.pop(sid, None)

    async def join(self, sid: str, payload: Document) -> Document:
        conversation_id, limit = _conversation(payload), payload.get("limit", 50)
        if not isinstance(limit, int) or not await self._allowed(conversation_id, sid):
            return _refusal("ROOM_NOT_FOUND")
        await self._server.enter_room(sid, conversation_id, namespace=NAMESPACE)
        found = self.messages.find({"conversationId": conversation_id}).sort("seq", -1).limit(limit)
        page = [_shown(message) for message in await found.to_list()][::-1]
        last_seq = page[-1]["seq"] if page else 0
        history = {"conversationId": conversation_id, "messages": page, "lastSeq": last_seq}
        await self._server.emit("conversation-history", history, to=sid, namespace=NAMESPACE)
        return {"success": True, "conversationId": conversation_id, "lastSeq": last_seq}

    async def leave(self, sid: str, payload: Document) -> Document:
        await self._server.leave_room(sid, _conversation(payload), namespace=NAMESPACE)
        return {"success": True}

    async def send(self, sid: str, payload: Document) -> Document:
        conversation_id, content = _conversation(payload), payload.get("content")
        if not isinstance(content, str) or not 0 < len(content.strip()) <= MAX_MESSAGE_LENGTH:
            return _refusal("INVALID_FORMAT")
        if not await self._allowed(conversation_id, sid):
            return _refusal("ROOM_NOT_FOUND")
        message = {
            "conversationId": conversation_id,
            "seq": 0,
            "content": content,
            "senderId": self._users[sid]["id"],
            "type": "user",
            "contentType": "text",
            "isRead": False,
            "createdAt": datetime.now(UTC),
            "attachments": payload.get("attachments") or [],
            "reactions": [],
            "sender": self._users[sid],
        }
        await self._store(message)
        told = _shown(message)
        await self._server.emit("new-message", told, to=conversation_id, namespace=NAMESPACE)
        return {"success": True, "message": told}

    async def _store(self, message: Document) -> None:
        """Insert it as the next of its conversation; see `store` in node/server.js."""
        conversation_id = message["conversationId"]
        while True:
            if conversation_id not in self._counters:
                newest = await self.messages.find_one({"conversationId": conversation_id}, sort={"seq": -1})
                self._counters.setdefault(conversation_id, newest["seq"] if newest else 0)
            self._counters[conversation_id] += 1
            message["seq"] = self._counters[conversation_id]
            try:
                await self.messages.insert_one(message)
                return
            except DuplicateKeyError:
                self._counters.pop(conversation_id, None)
                message.pop("_id", None)

    async def _allowed(self, conversation_id: str, sid: str) -> bool:
        user_id = self._users[sid]["id"]
        known = self._seats.get((conversation_id, user_id))
        if known is not None and known[1] > time.monotonic():
            return known[0]
        conversation = await self.database["conversations"].find_one({"_id": conversation_id})
        allowed = conversation is not None and (
            bool(conversation.get("public"))
            or await self.database["members"].find_one({"conversationId": conversation_id, "userId": user_id})
            is not None
        )
        self._seats[conversation_id, user_id] = allowed, time.monotonic() + MEMBERSHIP_SECONDS
        return allowed


def _conversation(payload: Document) -> str:
    found = payload.get("conversationId")
    return found if isinstance(found, str) and 1 <= len(found) <= 128 else ""


def _refusal(code: str) -> Document:
    return {"success": False, "message": "refused", "code": code}


def _shown(message: Document) -> Document:
    """A message as clients see it."""
    at = message["createdAt"].isoformat(timespec="milliseconds")[:23] + "Z"
    shown = {key: value for key, value in message.items() if key != "_id"}
    return {**shown, "id": str(message["_id"]), "createdAt": at}


async def main() -> None:
    server = socketio.AsyncServer(async_mode="aiohttp", http_compression=False, namespaces=[NAMESPACE])
    mongodb: AsyncMongoClient[Document] = AsyncMongoClient(os.environ["MONGODB_URI"])
    messaging = Messaging(server, mongodb, os.environ["JWT_SECRET"])
    await messaging.prepare()
    handlers = {
        "connect": messaging.connect,
        "disconnect": messaging.disconnect,
        "join-conversation": messaging.join,
        "leave-conversation": messaging.leave,
        "send-message": messaging.send,
    }
    for name, handler in handlers.items():
        server.on(name, handler, namespace=NAMESPACE)
    app = web.Application()
    server.attach(app)
    app.router.add_get("/readyz", _ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"]), backlog=1024).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    os._exit(0)  # thousands of writers need not be waited for


async def _ready(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


if __name__ == "__main__":
    uvloop.run(main())
