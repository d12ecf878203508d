"""Who hears unasked misses nothing: late news, slow catching up, and what happens while somebody connects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import pytest

from messaging.dialects.base import Frame
from messaging.domain.arrivals import Arrival
from messaging.domain.commands import (
    Actor,
    ChangeConversation,
    MarkConversationRead,
    PutConversation,
    PutMember,
    RemoveMember,
    SendMessage,
)
from messaging.domain.errors import Unavailable
from messaging.domain.events import MemberAdded, MessageSent, MessagesRead
from messaging.domain.models import Identity, Position, Profile
from messaging.gateway import comparison
from messaging.gateway.farewell import UNAVAILABLE
from messaging.service import handlers
from messaging.service.context import Outcome
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, Process, built, token, until
from tests.stage import service


class Moody(SqliteStore):
    """A store whose reads can be slow, or fail, or have something happen just after them."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.gate: asyncio.Event | None = None
        self.away = False
        self.afterwards: Callable[[], Awaitable[None]] | None = None

    async def positions(self, user_id: str, device: str) -> Mapping[str, Position] | None:
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise Unavailable
        return await super().positions(user_id, device)

    async def arrivals(self, user_ids: Collection[str]) -> Mapping[str, Arrival]:
        found = await super().arrivals(user_ids)
        if self.afterwards is not None:
            afterwards, self.afterwards = self.afterwards, None
            await afterwards()
        return found


async def group(process: Process, *user_ids: str, conversation_id: str = "g") -> None:
    await process.do(PutConversation(conversation_id=conversation_id, member_ids=user_ids))


def groups(client: Client) -> list[str]:
    """The contents of the group messages that a `/ws` client heard."""
    return [payload["payload"]["content"] for name, payload in client.heard if name == "group_message"]


async def synced(client: Client) -> None:
    """What was missed has been written."""
    await until(lambda: any(p["payload"].get("event") == "synced" for _, p in client.heard))


async def outcome_of(process: Process, command: object, actor: Actor | None = None) -> Outcome:
    """What a command leads to, not told yet."""
    handler = handlers.HANDLERS[type(command)]  # type: ignore[index]  # any command
    result = await handler(process.gateway.ctx, actor or service(), command)
    return result if isinstance(result, Outcome) else await result


async def test_what_was_missed_waits_for_a_new_token_where_the_old_one_ended_before(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice = await house.one.connect("alice")
    assert (await alice.say("g", "missed"))["success"]
    desk = await house.one.connect("bob", dialect="unified", device="desk", seconds=-1)
    await until(lambda: "error" in desk.names)
    assert (await alice.say("g", "live"))["success"]
    assert groups(desk) == []
    assert desk.farewell is None
    await desk.session.receive(
        Frame("authenticate", {"type": "authenticate", "payload": {"token": token("bob")}})
    )
    await until(lambda: groups(desk) == ["missed", "live"])


async def test_a_member_who_learns_late_that_they_are_one_hears_what_came_since(house: House) -> None:
    await group(house.one, "alice")
    alice = await house.one.connect("alice")
    bob = await house.one.connect("bob", dialect="unified", device="desk")
    await synced(bob)
    added = await outcome_of(house.one, PutMember(conversation_id="g", user_id="bob"))
    assert (await alice.say("g", "before it is told"))["success"]
    house.one.gateway.publish(added.events)
    for content in ("one", "two"):
        assert (await alice.say("g", content))["success"]
    await until(lambda: groups(bob) == ["before it is told", "one", "two"])


async def test_a_catch_up_that_fails_ends_the_connection_and_loses_nothing() -> None:
    store = Moody()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice = await house.one.connect("alice")
        assert (await alice.say("g", "missed"))["success"]
        store.away = True
        first = await house.one.connect("bob", dialect="unified", device="desk")
        await until(lambda: first.farewell is UNAVAILABLE)
        assert (await alice.say("g", "live"))["success"]
        store.away = False
        second = await house.one.connect("bob", dialect="unified", device="desk")
        await synced(second)
        assert groups(second) == ["missed", "live"]


async def test_a_live_message_while_catching_up_moves_no_position() -> None:
    store = Moody()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice = await house.one.connect("alice")
        assert (await alice.say("g", "missed"))["success"]
        store.gate = asyncio.Event()
        first = await house.one.connect("bob", dialect="unified", device="desk")
        assert (await alice.say("g", "live"))["success"]
        await first.emit("ping")  # whatever comes in asks for a confirmation
        first.leave()
        store.gate.set()
        store.gate = None
        second = await house.one.connect("bob", dialect="unified", device="desk")
        await synced(second)
        assert groups(second) == ["missed", "live"]


async def test_what_comes_while_catching_up_comes_after_it_and_once() -> None:
    store = Moody()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice = await house.one.connect("alice")
        assert (await alice.say("g", "missed"))["success"]
        store.gate = asyncio.Event()
        bob = await house.one.connect("bob", dialect="unified", device="desk")
        assert (await alice.say("g", "meanwhile"))["success"]
        store.gate.set()
        await synced(bob)
        assert (await alice.say("g", "live"))["success"]
        await until(lambda: groups(bob) == ["missed", "meanwhile", "live"])


async def test_a_device_that_was_away_goes_on_where_it_had_confirmed(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice = await house.one.connect("alice")
    desk = await house.one.connect("bob", dialect="unified", device="desk")
    await synced(desk)
    assert (await alice.say("g", "seen"))["success"]
    await until(lambda: groups(desk) == ["seen"])
    store = house.one.gateway.ctx.store
    async with asyncio.timeout(5):
        while (await store.positions("bob", "desk") or {}).get("g") != Position(1):  # noqa: ASYNC110  a store tells nobody
            await asyncio.sleep(0)
    desk.leave()
    assert (await alice.say("g", "missed"))["success"]
    again = await house.one.connect("bob", dialect="unified", device="desk")
    await synced(again)
    assert groups(again) == ["missed"]


async def test_a_read_while_the_reader_connects_elsewhere_is_counted() -> None:
    store = Moody()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice = await house.one.connect("alice")
        assert (await alice.say("g"))["success"]
        bob_elsewhere = Actor(identity=Identity(profile=Profile(id="bob")))

        async def read() -> None:
            done = await outcome_of(house.one, MarkConversationRead(conversation_id="g"), bob_elsewhere)
            house.one.gateway.publish(done.events)

        store.afterwards = read
        bob = await house.one.connect("bob")
        assert bob.of("unread-count-updated")[0] == {"totalUnread": 0}


async def test_a_change_that_is_told_after_somebody_connected_reaches_everybody(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice = await house.one.connect("alice")
    changed = await outcome_of(house.one, ChangeConversation(conversation_id="g", name="new"))
    await house.one.connect("bob")
    house.one.gateway.publish(changed.events)
    await until(lambda: bool(alice.of("conversation-updated")))
    assert alice.of("conversation-updated")[-1]["name"] == "new"


async def test_who_is_removed_while_their_history_is_written_gets_no_more_of_it(house: House) -> None:
    await group(house.one, "alice", "bob")
    said = (SendMessage(conversation_id="g", content=str(number)) for number in range(1_100))
    await asyncio.gather(*(house.one.do(command, user_id="alice") for command in said))
    bob = await house.one.connect("bob")
    bob.taking.clear()
    await bob.emit("join-conversation", conversationId="g", after=0)
    await until(lambda: len(bob.of("conversation-history")) == 1)
    await house.one.do(RemoveMember(conversation_id="g", user_id="bob"))
    bob.taking.set()
    await until(lambda: bool(bob.of("error")))
    assert bob.of("error")[-1]["code"] == "ROOM_NOT_FOUND"
    assert len(bob.of("conversation-history")) == 1


async def test_a_membership_that_nobody_told_of_is_found_by_comparing(street: House) -> None:
    await group(street.one, "alice")
    alice = await street.one.connect("alice")
    bob = await street.other.connect("bob")
    desk = await street.other.connect("bob", dialect="unified", device="desk")
    await synced(desk)
    street.one.bus.loses = lambda event: isinstance(event, MemberAdded)
    await street.one.do(PutMember(conversation_id="g", user_id="bob"))
    assert (await alice.say("g", "news"))["success"]
    await street.other.gateway.hub.compare()
    await until(lambda: bool(bob.of("conversation-updated")))
    await until(lambda: groups(desk) == ["news"])
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 1)


async def test_who_was_added_to_a_group_is_found_at_once_by_their_position(
    street: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_FOLLOWERS_AT_ONCE", 0)  # nobody's turn to be compared whole
    await group(street.one, "alice")
    bob = await street.other.connect("bob")
    desk = await street.other.connect("bob", dialect="unified", device="desk")
    await synced(desk)
    street.one.bus.loses = lambda _event: True
    await street.one.do(PutMember(conversation_id="g", user_id="bob"))
    await street.other.gateway.hub.compare()
    await until(lambda: bool(bob.of("conversation-updated")))
    await until(lambda: bool(bob.of("notification")))
    alice = await street.one.connect("alice")
    assert (await alice.say("g", "news"))["success"]
    await street.other.gateway.hub.compare()
    await until(lambda: groups(desk) == ["news"])


async def test_a_read_that_comes_before_its_message_waits_for_it_and_shows_that_it_is_missing(
    street: House,
) -> None:
    await group(street.one, "alice", "bob")
    alice, phone = await street.one.connect("alice"), await street.one.connect("bob")
    desk = await street.other.connect("bob")
    await desk.join("g")
    street.one.bus.loses = lambda event: isinstance(event, MessageSent)
    assert (await alice.say("g"))["success"]
    assert (await phone.call("mark-conversation-as-read", conversationId="g"))["success"]
    await until(lambda: bool(desk.of("message-read")))
    assert [name for name in desk.names if name in ("new-message", "message-read")] == [
        "new-message",
        "message-read",
    ]


async def test_a_receipt_that_the_bus_lost_is_found_by_comparing_and_told_once(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.one.connect("bob")
    assert (await alice.say("g", "before"))["success"]
    assert (await bob.call("mark-conversation-as-read", conversationId="g"))["success"]
    desk = await street.other.connect("alice")
    await desk.join("g")
    assert (await alice.say("g", "after"))["success"]
    await until(lambda: bool(desk.of("new-message")))
    street.one.bus.loses = lambda event: isinstance(event, MessagesRead)
    assert (await bob.call("mark-conversation-as-read", conversationId="g"))["success"]
    assert desk.of("message-read") == []
    for _ in range(2):
        await street.other.gateway.hub.compare()
    await until(lambda: bool(desk.of("message-read")))
    assert [each["seq"] for each in desk.of("message-read")] == [2], "once, and not what was read before"


async def test_a_read_that_nobody_told_of_is_found_by_comparing(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice = await street.one.connect("alice")
    phone, desk = await street.one.connect("bob"), await street.other.connect("bob")
    assert (await alice.say("g"))["success"]
    await until(lambda: desk.of("unread-count-updated")[-1]["totalUnread"] == 1)
    street.one.bus.loses = lambda event: isinstance(event, MessagesRead)
    assert (await phone.call("mark-conversation-as-read", conversationId="g"))["success"]
    await street.other.gateway.hub.compare()
    await until(lambda: desk.of("unread-count-updated")[-1]["totalUnread"] == 0)
