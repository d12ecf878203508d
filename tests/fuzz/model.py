"""A client of `/messaging` that believes only what it is told, and what it thinks the world looks like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.gateway.house import Client

ABOUT = ("id", "kind", "name", "private", "memberCount", "members")
"""What events tell of a conversation, and no message changes."""

View = dict[str, Any]
UNTOUCHED: View = {"archived": False, "muted": False}


@dataclass
class Model:
    """What one device knows: folded from what it read when it came, and from every event since."""

    client: Client
    total: int = 0
    conversations: dict[str, View] = field(default_factory=dict)
    unread: dict[str, int | None] = field(default_factory=dict)
    """None: several changed at once, so that only the total was told."""
    mine: dict[str, View] = field(default_factory=dict)
    """What each conversation is to the user alone."""
    joined: set[str] = field(default_factory=set)
    messages: dict[str, dict[int, View]] = field(default_factory=dict)
    place: int = 0
    """How much of what the client heard has been folded."""

    def fold(self, up_to: str | None = None) -> None:
        """Take in what has been heard since, or since then up to this name."""
        while self.place < len(self.client.heard):
            name, payload = self.client.heard[self.place]
            self.place += 1
            if name == up_to:
                return
            match name:
                case "unread-count-updated":
                    self._unread_changed(payload)
                case "conversation-updated":
                    self._conversation_updated(payload)
                case "conversation-history":
                    self._keep(payload["conversationId"], payload["messages"])
                case "new-message":
                    self._new_message(payload)
                case "message-edited" | "message-deleted" | "reaction-updated":
                    self._change(name, payload)
                case "message-read":
                    self._read(payload)
                case _:
                    pass

    def _unread_changed(self, payload: View) -> None:
        self.total = payload["totalUnread"]
        if "conversationId" in payload:
            self.unread[payload["conversationId"]] = payload["unread"]
        else:
            self.unread = dict.fromkeys(self.unread)

    def _conversation_updated(self, payload: View) -> None:
        conversation_id = payload["id"]
        if payload.get("removed") or "deletedAt" in payload:
            self.conversations.pop(conversation_id, None)
            self.unread.pop(conversation_id, None)
            self.mine.pop(conversation_id, None)
            self.joined.discard(conversation_id)
            self.messages.pop(conversation_id, None)
        else:
            self.conversations[conversation_id] = about(payload)
            if "muted" in payload:
                self.mine[conversation_id] = mine(payload)
            self.mine.setdefault(conversation_id, UNTOUCHED)

    def _new_message(self, message: View) -> None:
        known = self.messages[message["conversationId"]]
        assert message["seq"] == max(known, default=0) + 1
        self._keep(message["conversationId"], [message])

    def _keep(self, conversation_id: str, messages: list[View]) -> None:
        known = self.messages.setdefault(conversation_id, {})
        known.update({message["seq"]: dict(message) for message in messages})

    def _change(self, name: str, payload: View) -> None:
        """Nothing that was read becomes unread by it; and none comes before its message."""
        changed = {key: payload[key] for key in payload if key not in ("messageId", "isRead", "readAt")}
        if name == "message-deleted":
            changed |= {"content": "", "attachments": [], "reactions": []}
        message_id = payload.get("messageId", payload.get("id"))
        known = self.messages[payload["conversationId"]]
        (seq,) = [seq for seq, message in known.items() if message["id"] == message_id]
        known[seq] |= changed

    def _read(self, payload: View) -> None:
        message = self.messages[payload["conversationId"]].get(payload["seq"])
        if message is not None and not message["isRead"]:
            message |= {"isRead": True, "readAt": payload["readAt"]}

    # --- asking ---

    async def read_all(self) -> None:
        """What a client reads when it comes: its conversations and their histories, which it joins."""
        shown = []
        for archived in (False, True):
            ack = await self.client.emit("list-conversations", limit=200, archived=archived)
            listed = await self.client.acked(ack)
            shown += listed["conversations"]
        self.fold(up_to=ack)
        self.conversations = {each["id"]: about(each) for each in shown}
        self.unread = {each["id"]: each["unread"] for each in shown}
        self.mine = {each["id"]: mine(each) for each in shown}
        self.total = listed["totalUnread"]
        for conversation_id in self.conversations:
            await self.join(conversation_id)

    async def join(self, conversation_id: str, **where: Any) -> None:
        """Hear a conversation, and have all of it."""
        acked = await self.client.join(conversation_id, limit=200, **where)
        if acked["success"]:
            self.joined.add(conversation_id)
        self.fold()

    async def come_back(self, before: Model) -> None:
        """A device that was away has what it had, and asks for what it missed."""
        await self.read_all()
        self.joined.clear()
        self.messages = {key: known for key, known in before.messages.items() if key in self.conversations}
        for conversation_id in self.conversations:
            last = max(self.messages.get(conversation_id, {}), default=0)
            await self.join(conversation_id, after=last)
            await self._read_marks(conversation_id)

    async def _read_marks(self, conversation_id: str) -> None:
        """What others read of earlier messages while the device was away is not told again, but asked for."""
        ack = await self.client.emit("load-history", conversationId=conversation_id, limit=200)
        page = await self.client.acked(ack)
        self.fold(up_to=ack)
        known = self.messages.get(conversation_id, {})
        for message in page.get("messages", ()):
            # It has them all by now, as they are now.
            assert _unread(known[message["seq"]]) == _unread(message)
            known[message["seq"]] = dict(message)


def _unread(message: View) -> View:
    return {key: value for key, value in message.items() if key not in ("isRead", "readAt")}


def mine(shown: View) -> View:
    """What is compared of what it is to the user."""
    return {key: shown[key] for key in UNTOUCHED}


def about(shown: View) -> View:
    """What is compared of a conversation."""
    return {key: shown[key] for key in ABOUT if key in shown}
