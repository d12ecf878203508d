"""Webhooks are told in order, at least once, by one process at a time; to a real receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from messaging.domain.commands import (
    ChangeConversation,
    CreateConversation,
    DeleteConversation,
    DeleteMessage,
    EditMessage,
    PutConversation,
    SendMessage,
)
from messaging.domain.ids import direct_id
from messaging.domain.models import Kind, Profile, Status
from messaging.outgoing.client import Outgoing
from messaging.service import presence
from messaging.service.hooks import TYPES
from messaging.webhooks import delivery
from messaging.webhooks.delivery import Deliveries
from tests.receiver import WEBHOOK_SECRET, Receiver, receiving
from tests.stage import Stage, service, staged

Deliver = Callable[[], Deliveries]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as there:
        yield there


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A service whose webhook wants to be told everything. Its clock is the real one, for signatures."""
    async with staged(webhooks=frozenset(TYPES)) as made:
        made.clock.now = datetime.now(UTC)
        yield made


@pytest.fixture
async def deliver(stage: Stage, receiver: Receiver) -> AsyncIterator[Deliver]:
    """`deliver()` is one more process that delivers; they end with the test."""
    started: list[Deliveries] = []

    def start() -> Deliveries:
        out = Outgoing(allow_private=True)
        made = Deliveries(stage.ctx, out, url=receiver.url, key=WEBHOOK_SECRET.encode())
        started.append(made)
        made.start()
        return made

    yield start
    for each in started:
        await each.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(delivery, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr("messaging.webhooks.lanes.FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "_LONGEST_REST_SECONDS", 0.1)


async def nothing_left(stage: Stage) -> None:
    assert list(await stage.ctx.store.hook_lanes(after="", limit=10)) == []


async def test_messages_are_told_in_order_as_they_come(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice", name="Alice")
    await stage.group("1", "alice")
    await stage.send(alice, "1", "before")
    process = deliver()
    await receiver.until(lambda: receiver.contents() == ["before"])
    for number in range(50):
        await stage.send(alice, "1", str(number))
    await receiver.until(lambda: len(receiver.contents()) == 51)
    assert receiver.contents() == ["before", *map(str, range(50))]
    assert receiver.taken[1].data["message"]["sender"]["name"] == "Alice"
    await process.close()
    await nothing_left(stage)
    assert len({each.id for each in receiver.seen}) == len(receiver.seen)


async def test_what_fails_is_tried_again_in_order_under_the_same_id(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    answers = iter([500, 302, 429, 410])
    receiver.answers = lambda type_, _data: next(answers, 204) if type_ == "message.created" else 204
    for content in ("a", "b"):
        await stage.send(alice, "1", content)
    deliver()
    await receiver.until(lambda: len(receiver.contents()) == 2)
    assert receiver.contents() == ["a", "b"]
    tries = [each for each in receiver.seen if each.type == "message.created"]
    assert [each.answered for each in tries] == [500, 302, 429, 410, 204, 204]
    assert len({each.id for each in tries[:5]}) == 1


async def test_a_lane_that_fails_does_not_hold_up_the_others(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    await stage.group("2", "alice")
    receiver.answers = lambda _type, data: 500 if data.get("message", {}).get("content") == "bad" else 204
    await stage.send(alice, "1", "bad")
    deliver()
    for number in range(30):
        await stage.send(alice, "2", str(number))
    await receiver.until(lambda: len(receiver.contents()) == 30)
    receiver.answers = lambda _type, _data: 204
    await receiver.until(lambda: "bad" in receiver.contents())


async def test_what_is_hopeless_is_given_up_and_what_follows_told(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    receiver.answers = lambda _type, data: 500 if data.get("message", {}).get("content") == "bad" else 204
    stage.clock.now -= timedelta(days=4)
    await stage.send(alice, "1", "bad")
    stage.clock.now += timedelta(days=4)
    await stage.send(alice, "1", "good")
    deliver()
    await receiver.until(lambda: receiver.contents() == ["good"])


async def test_what_was_not_told_when_a_process_ended_is_told_by_the_next(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    receiver.answers = lambda _type, _data: 503
    first = deliver()
    await stage.send(alice, "1", "kept")
    await receiver.until(lambda: receiver.seen)
    await first.close()
    receiver.answers = lambda _type, _data: 204
    deliver()
    await receiver.until(lambda: receiver.contents() == ["kept"])


async def test_one_process_delivers_at_a_time(stage: Stage, receiver: Receiver, deliver: Deliver) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    processes = [deliver() for _ in range(3)]
    for number in range(30):
        await stage.send(alice, "1", str(number))
    await receiver.until(lambda: len(receiver.contents()) == 30)
    assert receiver.contents() == [str(number) for number in range(30)]
    for process in processes[:2]:
        await process.close()
    await stage.send(alice, "1", "last")
    await receiver.until(lambda: receiver.contents()[-1] == "last")


async def test_groups_and_rooms_are_told_from_their_making_to_their_end(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    await stage.user("alice")
    host = service()
    await stage.do(host, PutConversation(conversation_id="1", member_ids=("alice",)))
    await stage.do(host, PutConversation(conversation_id="1", member_ids=("alice",)))
    deliver()
    await receiver.until(lambda: len(receiver.taken) == 1)
    await stage.do(host, ChangeConversation(conversation_id="1", name="Salon"))
    await receiver.until(lambda: len(receiver.taken) == 2)
    await stage.do(host, DeleteConversation(conversation_id="1"))
    await stage.do(host, CreateConversation(kind=Kind.ROOM, name="hall"))
    await receiver.until(lambda: len(receiver.taken) == 4)
    told = [(each.type, each.data["conversation"]["id"]) for each in receiver.taken]
    assert told[:3] == [(f"conversation.{what}", "1") for what in ("created", "updated", "deleted")]
    assert told[3] == ("conversation.created", "hall")
    assert receiver.taken[1].data["conversation"]["name"] == "Salon"
    assert receiver.taken[2].data["conversation"].keys() == {"id", "kind", "deletedAt"}


async def test_two_users_conversation_begins_with_its_first_message(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    deliver()
    await stage.do(alice, SendMessage(to_user="bob", content="hi"))
    await receiver.until(lambda: len(receiver.taken) == 2)
    assert [each.type for each in receiver.taken] == ["conversation.created", "message.created"]
    assert receiver.taken[0].data["conversation"]["id"] == direct_id("alice", "bob")


async def test_coming_and_going_is_told(stage: Stage, receiver: Receiver, deliver: Deliver) -> None:
    alice = Profile(id="alice")
    at = stage.clock()
    deliver()
    await presence.changed(stage.ctx, alice, before=Status.OFFLINE, after=Status.ONLINE, at=at)
    await presence.changed(stage.ctx, alice, before=Status.ONLINE, after=Status.AWAY, at=at)
    await presence.changed(stage.ctx, alice, before=Status.AWAY, after=Status.OFFLINE, at=at)
    await receiver.until(lambda: len(receiver.taken) == 2)
    assert [(each.type, each.data["status"]) for each in receiver.taken] == [
        ("user.online", "online"),
        ("user.offline", "offline"),
    ]


async def test_a_report_is_told_with_its_message_and_what_the_handler_adds(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    message = await stage.send(alice, "1", "rude")
    await stage.ctx.hooks.keep(
        "message.reported", lane="1", message_id=message.id, data={"reason": "rude", "reportedBy": "bob"}
    )
    deliver()
    await receiver.until(lambda: receiver.contents("message.reported") == ["rude"])
    assert receiver.taken[-1].data["reason"] == "rude"


async def test_what_becomes_of_a_message_is_told_after_it_as_it_is_by_then(
    stage: Stage, receiver: Receiver, deliver: Deliver
) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    first, second = await stage.send(alice, "1", "a"), await stage.send(alice, "1", "b")
    await stage.do(alice, EditMessage(message_id=first.id, content="A"))
    await stage.do(alice, EditMessage(message_id=first.id, content="A"))
    await stage.do(alice, DeleteMessage(message_id=second.id))
    deliver()
    await receiver.until(lambda: len(receiver.taken) == 5)
    told = [(each.type, each.data["message"]["content"]) for each in receiver.taken[1:]]
    assert told == [
        ("message.created", "A"),
        ("message.created", ""),
        ("message.edited", "A"),
        ("message.deleted", ""),
    ]
    assert "deletedAt" in receiver.taken[-1].data["message"]
    await nothing_left(stage)


async def test_nothing_is_kept_where_nobody_wants_it() -> None:
    async with staged(webhooks=frozenset({"message.reported"})) as stage:
        alice = await stage.user("alice")
        await stage.group("1", "alice")
        await stage.send(alice, "1")
        await nothing_left(stage)
