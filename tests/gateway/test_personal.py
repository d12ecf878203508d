"""What concerns one user alone reaches their connections once and in order, also where the bus loses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from messaging.domain.commands import (
    Actor,
    BlockUser,
    Command,
    MarkNotificationsRead,
    MarkUnread,
    Notify,
    PutConversation,
    SendMessage,
    SetArchived,
    SetMuted,
    UnblockUser,
)
from messaging.domain.events import BlocksChanged, Notified, PlaceChanged
from messaging.domain.ids import INBOX, direct_id
from messaging.domain.models import Identity, Position, Profile
from messaging.service import handlers
from messaging.service.context import Outcome
from messaging.service.hooks import iso
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, Process, built, until


class Slow(SqliteStore):
    """A store that does not say where a device stands before the gate is open."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.gate = asyncio.Event()
        self.gate.set()

    async def positions(self, user_id: str, device: str) -> Mapping[str, Position] | None:
        await self.gate.wait()
        return await super().positions(user_id, device)


async def tell(process: Process, kind: str, user_id: str = "bob") -> None:
    await process.do(Notify(user_id=user_id, type=kind))


async def as_bob(process: Process, command: Command) -> None:
    """What bob does by REST here."""
    actor = Actor(identity=Identity(profile=Profile(id="bob")))
    result = await handlers.HANDLERS[type(command)](process.gateway.ctx, actor, command)
    assert isinstance(result, Outcome)
    process.gateway.publish(result.events)


def told(client: Client) -> list[str]:
    return [each["type"] for each in client.of("notification") if each["type"] != "group_added"]


def places(client: Client) -> list[tuple[bool, bool, int]]:
    """What the client was told of conversation 1 as it is to them: archived, muted, unread."""
    seen: list[dict[str, Any]] = [each for each in client.of("conversation-updated") if "archived" in each]
    return [(each["archived"], each["muted"], each["unread"]) for each in seen]


def total(client: Client) -> int:
    return int(client.of("unread-count-updated")[-1]["totalUnread"])


async def group(process: Process) -> None:
    await process.do(PutConversation(conversation_id="1", member_ids=("alice", "bob")))


async def test_all_connections_of_a_user_are_told_and_nobody_elses(street: House) -> None:
    bobs = [await street.one.connect("bob"), await street.other.connect("bob")]
    alice = await street.other.connect("alice")
    await tell(street.one, "a")
    await tell(street.other, "b")
    await until(lambda: all(told(bob) == ["a", "b"] for bob in bobs))
    assert told(alice) == []


async def test_a_lost_notification_comes_before_the_next_one(street: House) -> None:
    bob = await street.other.connect("bob")
    street.one.bus.loses = lambda event: isinstance(event, Notified) and event.notification.type == "lost"
    await tell(street.one, "lost")
    await tell(street.one, "next")
    await until(lambda: told(bob) == ["lost", "next"])


async def test_a_lost_notification_at_the_end_is_found_by_comparing(street: House) -> None:
    bob = await street.other.connect("bob")
    street.one.bus.loses = lambda event: isinstance(event, Notified)
    for kind in ("a", "b", "c"):
        await tell(street.one, kind)
    assert told(bob) == []
    await street.other.gateway.hub.compare()
    assert told(bob) == ["a", "b", "c"]
    await street.other.gateway.hub.compare()
    assert told(bob) == ["a", "b", "c"]


async def test_a_notification_that_comes_twice_or_early_is_told_once_and_in_order(house: House) -> None:
    bob = await house.one.connect("bob")
    ctx, hub = house.one.gateway.ctx, house.one.gateway.hub
    events: list[Notified] = []
    for kind in ("a", "b", "c"):
        outcome = await handlers.HANDLERS[Notify](
            ctx,
            Actor(identity=Identity(profile=Profile(id="host"), service=True), service=True),
            Notify(user_id="bob", type=kind),
        )
        assert isinstance(outcome, Outcome)
        events += [event for event in outcome.events if isinstance(event, Notified)]
    for event in (events[2], events[0], events[0], events[1], events[2]):
        hub.announce(event)
    await until(lambda: told(bob) == ["a", "b", "c"])


async def test_what_came_before_somebody_connected_is_not_told(street: House) -> None:
    await tell(street.one, "before")
    bob = await street.other.connect("bob")
    await tell(street.one, "after")
    await until(lambda: told(bob) == ["after"])


async def test_more_than_a_page_is_found(street: House) -> None:
    bob = await street.other.connect("bob")
    street.one.bus.loses = lambda event: isinstance(event, Notified)
    for number in range(450):
        await tell(street.one, str(number))
    await street.other.gateway.hub.compare()
    assert told(bob) == [str(number) for number in range(450)]


async def test_a_place_is_told_to_all_devices_of_the_user_alone(street: House) -> None:
    await group(street.one)
    bobs = [await street.one.connect("bob"), await street.other.connect("bob")]
    alice = await street.one.connect("alice")
    await as_bob(street.one, SetArchived(conversation_id="1", archived=True))
    await as_bob(street.other, SetMuted(conversation_id="1", muted=True))
    await until(lambda: all(places(bob) == [(True, False, 0), (True, True, 0)] for bob in bobs))
    assert places(alice) == []


async def test_muting_changes_the_total_on_all_processes(street: House) -> None:
    await group(street.one)
    bobs = [await street.one.connect("bob"), await street.other.connect("bob")]
    await street.one.do(SendMessage(conversation_id="1", content="x", system=True))
    await until(lambda: all(total(bob) == 1 for bob in bobs))
    await as_bob(street.one, SetMuted(conversation_id="1", muted=True))
    await until(lambda: all(total(bob) == 0 for bob in bobs))
    await as_bob(street.other, SetMuted(conversation_id="1", muted=False))
    await until(lambda: all(total(bob) == 1 for bob in bobs))


async def test_a_mark_counts_as_one_on_all_processes_until_something_is_read(street: House) -> None:
    await group(street.one)
    bobs = [await street.one.connect("bob"), await street.other.connect("bob")]
    await as_bob(street.one, MarkUnread(conversation_id="1"))
    await until(lambda: all(total(bob) == 1 for bob in bobs))
    await bobs[1].call("mark-conversation-as-read", conversationId="1")
    await until(lambda: all(total(bob) == 0 for bob in bobs))


async def test_a_lost_place_is_found_by_comparing(street: House) -> None:
    await group(street.one)
    bob = await street.other.connect("bob")
    street.one.bus.loses = lambda event: isinstance(event, PlaceChanged)
    await as_bob(street.one, MarkUnread(conversation_id="1"))
    await as_bob(street.one, SetArchived(conversation_id="1", archived=True))
    assert places(bob) == []
    await street.other.gateway.hub.compare()
    assert places(bob) == [(True, False, 1)]
    await until(lambda: total(bob) == 1)


async def test_a_conversation_that_a_message_brings_back_is_told(street: House) -> None:
    await group(street.one)
    bobs = [await street.one.connect("bob"), await street.other.connect("bob")]
    await as_bob(street.one, SetArchived(conversation_id="1", archived=True))
    await street.one.do(SendMessage(conversation_id="1", content="x", system=True))
    await street.one.do(SendMessage(conversation_id="1", content="y", system=True))
    await until(lambda: all(len(places(bob)) == 2 for bob in bobs))
    assert {places(bob)[-1][0] for bob in bobs} == {False}


# --- devices that catch up -----------------------------------------------------------------------------


def replayed(client: Client) -> list[str]:
    """The notifications that a `/ws` client heard, and where it was told that this was all it had missed."""
    heard = [payload["payload"] for _, payload in client.heard]
    return [
        "|" if each.get("event") == "synced" else each["type"]
        for each in heard
        if each.get("event") == "synced" or each.get("type") in ("a", "b", "c")
    ]


async def desk(process: Process) -> Client:
    return await process.connect("bob", dialect="unified", device="desk")


async def kept(process: Process, position: int) -> None:
    """The device has confirmed that it has everything up to there."""
    store = process.gateway.ctx.store
    async with asyncio.timeout(5):
        while (await store.positions("bob", "desk") or {}).get(INBOX) != Position(position):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_device_that_was_away_is_told_what_it_missed_and_then_what_is_live(street: House) -> None:
    first = await desk(street.one)
    await tell(street.one, "a")
    await kept(street.one, 1)
    first.leave()
    await tell(street.one, "b")
    again = await desk(street.other)
    await until(lambda: replayed(again) == ["b", "|"])
    await tell(street.one, "c")
    await until(lambda: replayed(again) == ["b", "|", "c"])


async def test_what_was_marked_read_elsewhere_is_not_told_again(house: House) -> None:
    (await desk(house.one)).leave()
    await tell(house.one, "a")
    await as_bob(house.one, MarkNotificationsRead(ids=None))
    await tell(house.one, "b")
    again = await desk(house.one)
    await until(lambda: replayed(again) == ["b", "|"])


async def test_notifications_that_come_while_catching_up_come_after_it_and_once() -> None:
    store = Slow(":memory:")
    async with built(store=store) as house:
        (await desk(house.one)).leave()
        await tell(house.one, "a")
        store.gate.clear()
        again = await desk(house.one)
        await tell(house.one, "b")
        store.gate.set()
        await until(lambda: "|" in replayed(again))
        await tell(house.one, "c")
        await until(lambda: replayed(again)[-1] == "c")
        assert [kind for kind in replayed(again) if kind != "|"] == ["a", "b", "c"]


# --- blocks --------------------------------------------------------------------------------------------


def presence(client: Client, user_id: str) -> list[str]:
    """As what the client saw a user come and go."""
    names = ("user-online", "user-offline")
    return [name for name, payload in client.heard if name in names and payload["userId"] == user_id]


async def apart(street: House, *, bus_loses: bool = False) -> tuple[Client, Client]:
    """bob and alice on two processes, who have spoken; bob has just blocked alice on alice's."""
    bob, alice = await street.one.connect("bob"), await street.other.connect("alice")
    pair = direct_id("alice", "bob")
    assert (await alice.say(pair))["success"]
    await until(lambda: bob.of("conversation-updated"))
    await alice.join(pair)
    await bob.join(pair)
    if bus_loses:
        street.other.bus.loses = lambda event: isinstance(event, BlocksChanged)
    await as_bob(street.other, BlockUser(user_id="alice"))
    return bob, alice


async def test_two_who_are_blocked_see_one_another_go_and_after_it_come_back(street: House) -> None:
    bob, alice = await apart(street)
    await until(lambda: presence(bob, "alice")[-1:] == ["user-offline"])
    await until(lambda: presence(alice, "bob")[-1:] == ["user-offline"])
    await as_bob(street.one, UnblockUser(user_id="alice"))
    await until(lambda: presence(bob, "alice")[-1:] == ["user-online"])
    await until(lambda: presence(alice, "bob")[-1:] == ["user-online"])


async def test_who_is_blocked_is_told_what_an_invisible_user_would_make_them_be_told(street: House) -> None:
    await street.one.connect("bob")
    alice, carol = await street.other.connect("alice"), await street.other.connect("carol")
    await street.one.do(PutConversation(conversation_id="2", member_ids=("alice", "bob")))
    await street.one.do(PutConversation(conversation_id="3", member_ids=("alice", "carol")))
    await alice.join("2")
    await alice.join("3")
    await as_bob(street.one, BlockUser(user_id="alice"))
    await carol.call("set-status", status="offline")
    await until(lambda: len(alice.of("user-offline")) == 2)
    told = {each.pop("userId"): each for each in alice.of("user-offline")}
    assert told["bob"].keys() == told["carol"].keys()
    block = await street.one.gateway.ctx.store.find_block("bob", "alice")
    assert block is not None
    assert told["bob"]["lastSeen"] == iso(block.at)


async def test_neither_is_told_what_the_other_does_but_in_groups_they_speak(street: House) -> None:
    bob, alice = await apart(street)
    await until(lambda: presence(alice, "bob")[-1:] == ["user-offline"])
    await until(lambda: presence(bob, "alice")[-1:] == ["user-offline"])
    before = len(presence(bob, "alice"))
    await group(street.one)
    await bob.join("1")
    await alice.join("1")
    for where in (direct_id("alice", "bob"), "1"):
        await alice.emit("user-typing", conversationId=where)
        await bob.emit("user-typing", conversationId=where)
    await alice.call("set-status", status="away")
    refused = await alice.say(direct_id("alice", "bob"))
    assert (refused["success"], refused["code"]) == (False, "PERMISSION_DENIED")
    assert (await alice.say("1", "in the group"))["success"]
    await until(lambda: [each["content"] for each in bob.of("new-message")] == ["in the group"])
    assert (bob.of("user-typing"), alice.of("user-typing")) == ([], [])
    assert len(presence(bob, "alice")) == before


async def test_a_block_that_the_bus_lost_is_found_by_comparing(street: House) -> None:
    bob, _ = await apart(street, bus_loses=True)
    assert "user-offline" not in presence(bob, "alice")
    await street.one.gateway.hub.compare()
    await until(lambda: presence(bob, "alice")[-1:] == ["user-offline"])


async def test_who_connects_later_does_not_see_whom_they_blocked(street: House) -> None:
    _, alice = await apart(street)
    phone = await street.other.connect("bob")
    await alice.call("set-status", status="away")
    await alice.emit("user-typing", conversationId=direct_id("alice", "bob"))
    assert (await alice.call("list-online-users", conversationId=direct_id("alice", "bob")))["success"]
    assert presence(phone, "alice") == []
