"""Hub: who hears what, on one process and on two, also when the bus loses what it should carry."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from itertools import pairwise

import pytest

from messaging.dialects import DIALECTS
from messaging.domain.commands import (
    ChangeConversation,
    DeleteConversation,
    PutConversation,
    PutMember,
    RemoveMember,
    SendMessage,
)
from messaging.domain.events import (
    Announcement,
    ConversationDeleted,
    MemberRemoved,
    MessageSent,
    UnreadChanged,
)
from messaging.domain.models import Kind, Role
from messaging.gateway.hub import Hub
from messaging.service.policy import Policy
from messaging.service.ports import ONLINE
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, Process, TestWire, built, until


async def group(process: Process, *user_ids: str, conversation_id: str = "1") -> None:
    await process.do(PutConversation(conversation_id=conversation_id, member_ids=user_ids))


def remove(user_id: str) -> RemoveMember:
    return RemoveMember(conversation_id="1", user_id=user_id)


async def two(street: House) -> tuple[Client, Client]:
    """alice on the first process, bob on the second; both watch group 1."""
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.join("1")
    return alice, bob


def deleted(client: Client) -> list[str]:
    """The conversations that the client knows to be deleted."""
    return [update["id"] for update in client.of("conversation-updated") if "deletedAt" in update]


def empty(hub: Hub) -> bool:
    return not hub.followers and not hub.channels


# --- messages ---


async def test_a_message_is_rendered_once_for_all_who_hear_it(house: House) -> None:
    await group(house.one, "alice")
    clients = [await house.one.connect("alice") for _ in range(5)]
    for client in clients:
        await client.join("1")
    await until(lambda: all("unread-count-updated" in client.names for client in clients))
    before = house.one.wire.encoded
    await clients[0].say("1")
    await until(lambda: all(client.messages == [1] for client in clients))
    assert house.one.wire.encoded - before <= 2  # the event; and the count of what is unread, if that


async def test_two_processes_tell_one_dense_order(street: House) -> None:
    alice, bob = await two(street)
    for _ in range(50):
        await alice.emit("send-message", conversationId="1", content="x")
        await bob.emit("send-message", conversationId="1", content="x")
        await asyncio.sleep(0)
    await until(lambda: len(alice.messages) == len(bob.messages) == 100)
    assert alice.messages == bob.messages == list(range(1, 101))


async def test_a_message_that_the_bus_lost_is_filled_in_before_the_next_one(street: House) -> None:
    alice, bob = await two(street)
    street.one.bus.loses = lambda event: isinstance(event, MessageSent) and event.message.seq in (1, 3)
    for _ in range(4):
        await alice.say("1")
    await until(lambda: len(bob.messages) == 4)
    assert bob.messages == [1, 2, 3, 4]


async def test_a_lost_message_at_the_end_is_found_by_comparing(street: House) -> None:
    alice, bob = await two(street)
    street.one.bus.loses = lambda _event: True
    for _ in range(3):
        await alice.say("1")
    assert bob.messages == []
    await street.other.gateway.hub.compare()
    assert bob.messages == [1, 2, 3]
    await street.other.gateway.hub.compare()
    assert bob.messages == [1, 2, 3]


async def test_a_message_that_comes_twice_is_told_once(street: House) -> None:
    alice, bob = await two(street)
    told: list[Announcement] = []

    def remembered(event: Announcement) -> bool:
        told.append(event)
        return False

    street.one.bus.loses = remembered
    await alice.say("1")
    street.one.bus.publish(list(told))
    await alice.say("1")
    await until(lambda: 2 in bob.messages)
    assert bob.messages == [1, 2]


async def test_typing_goes_to_the_others_and_never_to_the_typist(street: House) -> None:
    alice, bob = await two(street)
    twin = await street.other.connect("alice")
    await twin.join("1")
    await alice.call("user-typing", conversationId="1")
    await until(lambda: bob.of("user-typing"))
    assert bob.of("user-typing") == [{"conversationId": "1", "userId": "alice", "userName": "alice"}]
    alice.leave()
    await until(lambda: bob.of("user-stopped-typing"))
    assert not [name for client in (alice, twin) for name in client.names if "typing" in name]


# --- coming and going ---


async def test_who_is_removed_on_another_process_hears_nothing_more(street: House) -> None:
    alice, bob = await two(street)
    await street.one.do(remove("bob"))
    await until(lambda: {"id": "1", "removed": True} in bob.of("conversation-updated"))
    await alice.say("1")
    await until(lambda: alice.messages == [1])
    assert bob.messages == []
    assert bob.rooms == set()
    assert street.other.gateway.hub.channels == {}


async def test_who_is_removed_while_the_bus_is_silent_is_stopped_by_comparing(street: House) -> None:
    alice, bob = await two(street)
    street.one.bus.loses = lambda _event: True
    await street.one.do(remove("bob"))
    await street.other.gateway.hub.compare()
    assert {"id": "1", "removed": True} in bob.of("conversation-updated")
    street.one.bus.loses = lambda _event: False
    await alice.say("1")
    await until(lambda: alice.messages == [1])
    assert (bob.messages, bob.rooms) == ([], set())


async def test_a_removal_that_is_lost_alone_is_noticed_all_the_same(street: House) -> None:
    _, bob = await two(street)
    carol = await street.other.connect("carol")
    await street.one.do(PutMember(conversation_id="1", user_id="carol"))
    street.one.bus.loses = lambda event: isinstance(event, MemberRemoved)
    await street.one.do(remove("bob"))
    await until(lambda: carol.of("conversation-updated")[-1]["memberCount"] == 2)
    await street.other.gateway.hub.compare()
    assert {"id": "1", "removed": True} in bob.of("conversation-updated")
    assert bob.rooms == set()


async def test_who_was_let_in_on_old_knowledge_is_found_by_comparing(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.call("load-history", conversationId="1")  # from now on the role is remembered for a second
    street.one.bus.loses = lambda _event: True
    await street.one.do(remove("bob"))
    await bob.join("1")
    await street.other.gateway.hub.compare()
    assert bob.rooms == set()
    assert "1" not in bob.session.watched


class Slow(SqliteStore):
    """A store that gives an old answer about a member late."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.gate = asyncio.Event()
        self.late = ""
        self.looked = False

    async def roles(self, places: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Role]:
        """As Store.roles."""
        found = await super().roles(places)
        if any(user_id == self.late for _, user_id in places):
            self.late, self.looked = "", True
            await self.gate.wait()
        return found


async def test_an_old_answer_that_comes_late_is_not_remembered() -> None:
    store = Slow()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        bob = await house.one.connect("bob")
        store.late = "bob"
        ack = await bob.emit("load-history", conversationId="1")
        await until(lambda: store.looked)
        await house.one.do(remove("bob"))
        store.gate.set()
        await bob.acked(ack)
        assert (await bob.call("load-history", conversationId="1"))["code"] == "ROOM_NOT_FOUND"


async def test_a_deleted_conversation_is_told_and_left_everywhere(street: House) -> None:
    alice, bob = await two(street)
    await street.one.do(DeleteConversation(conversation_id="1"))
    for client in (alice, bob):
        await until(partial(deleted, client))
        assert client.rooms == set()
    assert street.one.gateway.hub.channels == street.other.gateway.hub.channels == {}


async def test_a_deletion_that_the_bus_lost_is_found_by_comparing(street: House) -> None:
    _, bob = await two(street)
    street.one.bus.loses = lambda event: isinstance(event, ConversationDeleted)
    await street.one.do(DeleteConversation(conversation_id="1"))
    await street.other.gateway.hub.compare()
    assert deleted(bob) == ["1"]
    assert bob.rooms == set()


async def test_a_change_that_the_bus_lost_is_told_once_by_comparing(street: House) -> None:
    _, bob = await two(street)
    street.one.bus.loses = lambda _event: True
    await street.one.do(ChangeConversation(conversation_id="1", name="Crew"))
    for _ in range(2):
        await street.other.gateway.hub.compare()
    assert [update["name"] for update in bob.of("conversation-updated")] == ["Crew"]


async def test_comparing_ends_nothing_that_is_allowed(street: House) -> None:
    alice, bob = await two(street)
    await street.one.do(PutConversation(conversation_id="lobby", kind=Kind.ROOM))
    eve = await street.other.connect("eve")
    await eve.join("lobby")
    await street.one.do(PutMember(conversation_id="1", user_id="carol"))
    await street.one.do(ChangeConversation(conversation_id="lobby", name="Hall"))
    for process in street.processes:
        await process.gateway.hub.compare()
    assert [client.rooms for client in (alice, bob, eve)] == [{"1"}, {"1"}, {"lobby"}]


async def test_who_is_added_hears_of_it_and_can_join(street: House) -> None:
    alice, _ = await two(street)
    carol = await street.other.connect("carol")
    await street.one.do(PutMember(conversation_id="1", user_id="carol"))
    await until(lambda: carol.of("conversation-updated"))
    assert len(carol.of("conversation-updated")) == 1
    await until(lambda: alice.of("conversation-updated"))
    assert alice.of("conversation-updated")[-1]["memberCount"] == 3
    assert (await carol.join("1"))["success"]


async def test_a_direct_conversation_that_begins_is_announced_and_counted(street: House) -> None:
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.say("dm:alice:bob")
    await until(lambda: bob.of("conversation-updated"))
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 1)
    await alice.say("dm:alice:bob")
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 2)
    assert bob.of("unread-count-updated")[-1]["conversationId"] == "dm:alice:bob"
    assert len(bob.of("conversation-updated")) == 1


# --- unread ---


async def test_unread_counts_come_on_connecting_and_merged_at_most_four_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[float] = []
    async with built() as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        assert bob.of("unread-count-updated") == [{"totalUnread": 0}]
        loop = asyncio.get_running_loop()
        tell = house.one.gateway.hub.tell

        def timed(sessions: Collection[object], event: Announcement) -> None:
            if isinstance(event, UnreadChanged) and event.user_id == "bob":
                times.append(loop.time())
            tell(sessions, event)  # type: ignore[arg-type]

        monkeypatch.setattr(house.one.gateway.hub, "tell", timed)
        ends, sent = loop.time() + 0.6, 0
        while loop.time() < ends or sent < 20:
            sent = (await alice.say("1"))["message"]["seq"]
        await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == sent)
        assert sent > len(times) >= 3
        assert all(later - earlier >= 0.24 for earlier, later in pairwise(times))
        assert alice.of("unread-count-updated") == [{"totalUnread": 0}]


async def test_reading_on_one_process_is_counted_on_all(street: House) -> None:
    alice, bob = await two(street)
    twin = await street.one.connect("bob")
    for _ in range(3):
        await alice.say("1")
    await until(lambda: twin.of("unread-count-updated")[-1]["totalUnread"] == 3)
    await bob.call("mark-conversation-as-read", conversationId="1")
    await until(lambda: twin.of("unread-count-updated")[-1]["totalUnread"] == 0)
    await until(lambda: len(alice.of("message-read")) == 3)
    assert [read["seq"] for read in alice.of("message-read")] == [1, 2, 3]
    assert {read["userId"] for read in alice.of("message-read")} == {"bob"}


async def test_receipts_of_a_large_group_reach_the_reader_alone() -> None:
    async with built(policy=Policy(receipts_max_members=1)) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await alice.join("1")
        await bob.join("1")
        await alice.say("1")
        await bob.call("mark-conversation-as-read", conversationId="1")
        await until(lambda: bob.of("message-read"))
        assert alice.of("message-read") == []


# --- presence ---


def seen(client: Client) -> list[tuple[str, str]]:
    return [(n, p["userId"]) for n, p in client.heard if n in ("user-online", "user-offline")]


async def test_contacts_see_a_user_come_once_and_go_after_the_last_connection(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice = await street.one.connect("alice")
    bobs = [await process.connect("bob") for process in (*street.processes, street.one)]
    await until(lambda: seen(alice) == [("user-online", "bob")])
    for bob in bobs[:2]:
        bob.leave()
    online = street.one.gateway.ctx.presence
    await until(lambda: "bob" not in street.other.gateway.hub.followers)
    assert await online.among(ONLINE, ["bob"])
    bobs[2].leave()
    await until(lambda: len(seen(alice)) == 2)
    assert seen(alice) == [("user-online", "bob"), ("user-offline", "bob")]
    assert not [entry for bob in bobs for entry in seen(bob) if entry[1] == "bob"]


async def test_who_comes_back_within_the_grace_was_never_gone() -> None:
    async with built(grace_seconds=0.1) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await until(lambda: seen(alice))
        bob.leave()
        again = await house.one.connect("bob")
        await asyncio.sleep(0.2)  # the time at which the grace would have ended
        await again.call("set-status", status="busy")
        await until(lambda: len(seen(alice)) == 2)
        assert alice.of("user-online")[-1]["status"] == "busy"
        assert not alice.of("user-offline")


async def test_strangers_see_nobody_come(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, eve = await street.one.connect("alice"), await street.other.connect("eve")
    await street.other.connect("bob")
    await until(lambda: seen(alice))
    assert seen(eve) == []


async def test_a_room_knows_who_watches_it_over_all_processes(street: House) -> None:
    await street.one.do(PutConversation(conversation_id="lobby", kind=Kind.ROOM))
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    twin = await street.other.connect("bob")

    async def online() -> list[str]:
        ack = await alice.call("list-online-users", conversationId="lobby")
        assert isinstance(ack["onlineUsers"], list)
        return ack["onlineUsers"]

    for client in (alice, bob, twin):
        await client.join("lobby")
    assert await online() == ["alice", "bob"]
    bob.leave()
    assert await online() == ["alice", "bob"]
    await twin.call("leave-conversation", conversationId="lobby")
    places = street.other.gateway.ctx.presence
    async with asyncio.timeout(5):
        while await places.among("lobby", ["bob"]):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert await online() == ["alice"]


# --- what is left behind ---


async def test_nothing_is_left_of_those_who_are_gone(street: House) -> None:
    alice, bob = await two(street)
    await alice.say("1")
    for client in (alice, bob):
        client.leave()
    for process in street.processes:
        await until(partial(empty, process.gateway.hub))
        assert process.gateway.sessions == {}


async def test_a_bug_in_telling_here_does_not_keep_it_from_the_others(
    street: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = await two(street)

    def broken(_event: Announcement) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(street.one.gateway.hub, "message_sent", broken)
    assert (await alice.say("1"))["success"]
    assert (await alice.say("1"))["success"]
    await until(lambda: bob.messages == [1, 2])
    assert "RuntimeError" in caplog.text


async def test_a_service_speaks_to_everybody(street: House) -> None:
    alice, bob = await two(street)
    await street.other.do(SendMessage(conversation_id="1", content="closing soon", system=True))
    await until(lambda: alice.messages == bob.messages == [1])
    assert alice.of("new-message")[0]["sender"] == {"id": "system", "role": "system"}


async def test_who_goes_before_their_new_conversation_is_followed_leaves_nothing_behind() -> None:
    async with built() as house:
        process = house.one
        process.wire = TestWire(DIALECTS["unified"])
        alice = await process.connect("alice")
        await group(process, "alice", "bob")
        alice.leave()  # before anything else could run
        await until(lambda: empty(process.gateway.hub), 2.0)


async def test_the_first_message_of_a_direct_conversation_is_counted_as_unread(house: House) -> None:
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.say("dm:alice:bob")
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 1, 2.0)
    assert alice.of("unread-count-updated")[-1]["totalUnread"] == 0


async def test_what_was_unread_where_a_user_is_no_longer_counts_no_more(street: House) -> None:
    alice, bob = await two(street)
    await alice.say("1")
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 1, 2.0)
    await street.one.do(remove("bob"))
    await until(lambda: bob.of("unread-count-updated")[-1]["totalUnread"] == 0, 2.0)
