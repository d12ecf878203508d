"""Deliveries: what was written to a connection that answered has reached its user, and its author is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from messaging.domain.commands import ListReceipts, PutConversation
from messaging.domain.errors import MessageNotFound, PermissionDenied, Unavailable
from messaging.domain.models import Conversation, Kind, Written
from messaging.domain.replies import ReceiptList
from messaging.gateway import channel
from messaging.gateway import deliveries as module
from messaging.service.policy import Policy
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, Process, built, until
from tests.stage import service


async def group(process: Process, *user_ids: str) -> None:
    await process.do(PutConversation(conversation_id="1", member_ids=user_ids))


async def ticks(house: House, times: int = 2) -> None:
    """What the clock does twice a second."""
    for _ in range(times):
        for process in house.processes:
            await process.gateway.deliveries.tick()


def delivered(client: Client) -> list[tuple[str, int]]:
    """To whom messages have been delivered, as the client was told: the user and the seq."""
    return [(told["userId"], told["seq"]) for told in client.of("message-delivered")]


async def receipts(process: Process, client: Client, message: dict[str, Any]) -> dict[str, tuple[bool, bool]]:
    """Whom a message has reached, and who has read it, as its author is told who asks."""
    command = ListReceipts(message_id=int(message["id"]))
    reply = (await process.gateway.perform(client.session.actor, command)).reply
    assert isinstance(reply, ReceiptList)
    return {each.user_id: (each.delivered >= reply.seq, each.read >= reply.seq) for each in reply.receipts}


@pytest.fixture
async def pair(street: House) -> tuple[Client, Client]:
    """alice on the first process, bob on the second; both watch group 1."""
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.join("1")
    return alice, bob


async def test_authors_are_told_merged_what_has_reached_others(
    street: House, pair: tuple[Client, Client]
) -> None:
    alice, bob = pair
    messages = [(await alice.say("1"))["message"] for _ in range(3)]
    await until(lambda: bob.messages == [1, 2, 3])
    await ticks(street)
    await until(lambda: delivered(alice) == [("bob", 3)])
    assert alice.of("message-delivered")[0]["messageId"] == messages[2]["id"]
    assert delivered(bob) == []
    await ticks(street)
    assert delivered(alice) == [("bob", 3)]
    await bob.say("1")
    await until(lambda: alice.messages == [1, 2, 3, 4])
    await ticks(street)
    await until(lambda: delivered(bob) == [("alice", 4)])
    assert await receipts(street.one, alice, messages[0]) == {"bob": (True, False)}


async def test_what_a_connection_does_not_answer_has_not_been_delivered(
    street: House, pair: tuple[Client, Client]
) -> None:
    alice, bob = pair
    await ticks(street)
    bob.answers = False
    message = (await alice.say("1"))["message"]
    await until(lambda: bob.messages == [1])
    await ticks(street, 3)
    assert delivered(alice) == []
    assert await receipts(street.one, alice, message) == {"bob": (False, False)}
    bob.behind = True
    await bob.call("list-conversations")
    await ticks(street)
    assert delivered(alice) == []  # it answers what it was asked before
    bob.behind = False
    await bob.call("list-conversations")
    await ticks(street)
    await until(lambda: delivered(alice) == [("bob", 1)])


async def test_who_joins_later_receives_by_the_history(street: House, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.leave()
    await alice.say("1")
    await ticks(street)
    assert delivered(alice) == []
    again = await street.other.connect("bob")
    await again.join("1")
    await ticks(street)
    await until(lambda: delivered(alice) == [("bob", 1)])


async def test_what_was_read_was_delivered(street: House, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.answers = False
    message = (await alice.say("1"))["message"]
    await until(lambda: bob.messages == [1])
    await bob.call("mark-as-read", messageId=message["id"])
    assert await receipts(street.one, alice, message) == {"bob": (True, True)}


async def test_large_conversations_are_not_asked_and_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RARELY", 2)
    async with built(policy=Policy(receipts_max_members=1)) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await alice.join("1")
        await bob.join("1")
        message = (await alice.say("1"))["message"]
        await until(lambda: bob.messages == [1])
        await ticks(house, 4)
        assert await receipts(house.one, alice, message) == {"bob": (False, False)}
        await bob.call("list-conversations")
        await ticks(house, 4)
        assert await receipts(house.one, alice, message) == {"bob": (True, False)}
        assert delivered(alice) == []


async def test_public_rooms_have_no_deliveries(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="r", kind=Kind.ROOM))
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.join("r")
    await bob.join("r")
    message = (await alice.say("r"))["message"]
    await until(lambda: bob.messages == [1])
    await ticks(house)
    assert delivered(alice) == []
    assert await receipts(house.one, alice, message) == {}


async def test_only_who_wrote_a_message_and_services_see_whom_it_has_reached(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice, bob, carol = [await house.one.connect(user_id) for user_id in ("alice", "bob", "carol")]
    message = (await alice.say("1"))["message"]
    command = ListReceipts(message_id=int(message["id"]), limit=1)
    with pytest.raises(PermissionDenied):
        await house.one.gateway.perform(bob.session.actor, command)
    with pytest.raises(MessageNotFound):
        await house.one.gateway.perform(carol.session.actor, command)
    reply = (await house.one.gateway.perform(service(), command)).reply
    assert isinstance(reply, ReceiptList)
    assert (reply.receipts, reply.next) == ((), "alice")


class Asked(SqliteStore):
    """A store that counts what it is asked about messages and conversations."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.questions: list[str] = []

    async def authors(self, stretches: Mapping[str, tuple[int, int]]) -> Mapping[str, Sequence[Written]]:
        self.questions.append("authors")
        return await super().authors(stretches)

    async def conversations_among(self, conversation_ids: Collection[str]) -> Mapping[str, Conversation]:
        self.questions.append("conversations")
        return await super().conversations_among(conversation_ids)


async def test_whose_messages_were_told_here_a_moment_ago_is_not_asked_of_the_store() -> None:
    store = Asked()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await alice.join("1")
        await bob.join("1")
        store.questions.clear()
        for seq in (1, 2, 3):
            await alice.say("1")
            await until(partial(_has_heard, bob, seq))
            await ticks(house)
        assert delivered(alice) == [("bob", 1), ("bob", 2), ("bob", 3)]
        assert store.questions == []


async def test_what_is_no_longer_at_hand_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_TOLD", 2)
    store = Asked()
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await alice.join("1")
        await bob.join("1")
        for _ in range(3):
            await alice.say("1")
        await until(partial(_has_heard, bob, 3))
        store.questions.clear()
        await ticks(house)
        assert delivered(alice) == [("bob", 3)]
        assert store.questions == ["authors"]
        bob.answers = False
        await alice.say("1")
        await until(partial(_has_heard, bob, 4))
        await ticks(house, 4)
        bob.answers = True
        await bob.call("list-conversations")
        await ticks(house)
        assert delivered(alice) == [("bob", 3), ("bob", 4)]
        assert store.questions.count("authors") == 2


def _has_heard(client: Client, seq: int) -> bool:
    return client.messages[-1:] == [seq]


class Away(SqliteStore):
    """A store that may refuse to keep deliveries, or those of one conversation."""

    away = False
    broken = ""

    async def mark_delivered(self, reached: Mapping[str, Mapping[str, int]], **named: Any) -> Any:
        if self.away:
            raise Unavailable
        if self.broken in reached:
            raise ValueError("a bug")
        return await super().mark_delivered(reached, **named)


async def test_deliveries_that_cannot_be_kept_are_kept_later() -> None:
    store = Away(":memory:")
    async with built(store=store) as house:
        await group(house.one, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await alice.join("1")
        await bob.join("1")
        store.away = True
        await alice.say("1")
        await until(lambda: bob.messages == [1])
        await ticks(house, 3)
        assert delivered(alice) == []
        store.away = False
        await ticks(house)
        assert delivered(alice) == [("bob", 1)]


async def test_what_goes_wrong_in_one_conversation_costs_no_other_its_deliveries() -> None:
    store = Away(":memory:")
    async with built(store=store) as house:
        for where in ("1", "2"):
            await house.one.do(PutConversation(conversation_id=where, member_ids=("alice", "bob")))
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        for client in (alice, bob):
            for where in ("1", "2"):
                await client.join(where)
        store.broken = "1"
        for where in ("1", "2"):
            await alice.say(where)
        await until(lambda: len(bob.messages) == 2)
        await ticks(house, 3)
        assert [told["conversationId"] for told in alice.of("message-delivered")] == ["2"]
