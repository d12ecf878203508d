"""Session: the order of answers and events, what may be in flight together, joining, and signing in again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from messaging.dialects.base import Answer, Request
from messaging.domain.commands import (
    Actor,
    DeleteConversation,
    ListConversations,
    PutConversation,
    RemoveMember,
)
from messaging.domain.errors import ClientError, Unavailable
from messaging.domain.models import Appended, Draft, Kind, Message
from messaging.domain.pages import End
from messaging.gateway import session as module
from messaging.gateway import sign_in
from messaging.gateway.farewell import SHUTDOWN, SLOW, UNSIGNED
from messaging.service import handlers
from messaging.service.committer import Then
from messaging.service.context import Context, Outcome
from messaging.service.policy import MISSED_PAGE
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, built, token, until


class Gated(SqliteStore):
    """A store whose writes, or next looks at a history, wait while a test keeps a gate shut."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.writing, self.looking = asyncio.Event(), asyncio.Event()
        self.writing.set()
        self.batches: list[int] = []
        self.holding = self.held = 0

    def hold(self, looks: int = 1) -> None:
        """Shut the gate for the next looks."""
        self.holding, self.held = looks, 0

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        """As Store.append."""
        self.batches.append(len(drafts))
        await self.writing.wait()
        return await super().append(drafts)

    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        """As Store.history; the gate is behind the look."""
        found = await super().history(conversation_id, before=before, after=after, offset=offset, limit=limit)
        await self._pass()
        return found

    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        """As Store.ends; where there are no messages, no other look is taken."""
        found = await super().ends(after)
        if not any(end.last_seq for end in found.values()):
            await self._pass()
        return found

    async def _pass(self) -> None:
        if self.held < self.holding:
            self.held += 1
            await self.looking.wait()


@asynccontextmanager
async def gated() -> AsyncIterator[tuple[Gated, House]]:
    """A house on a gated store; in the end the gates are opened, so that everybody can go."""
    store = Gated()
    async with built(store=store) as house:
        try:
            yield store, house
        finally:
            store.writing.set()
            store.looking.set()


async def group(house: House, *user_ids: str, conversation_id: str = "1") -> None:
    await house.one.do(PutConversation(conversation_id=conversation_id, member_ids=user_ids))


async def settled(*clients: Client) -> None:
    await until(lambda: not any(client.session.busy for client in clients))


# --- answers and events ---


async def test_an_answer_comes_before_the_event_that_it_causes(house: House) -> None:
    await group(house, "alice")
    alice = await house.one.connect("alice")
    await alice.join("1")
    ack = await alice.say("1")
    assert ack["success"]
    [name] = [name for name, payload in alice.heard if payload == ack]
    assert alice.names.index(name) < alice.names.index("new-message")


async def test_commands_are_answered_in_the_order_of_their_arrival(house: House) -> None:
    await group(house, "alice")
    alice = await house.one.connect("alice")
    await alice.join("1")
    names = ["send-message", "load-history", "send-message", "no-such-command", "send-message"]
    acks = [await alice.emit(name, conversationId="1", content="x") for name in names * 20]
    await alice.acked(acks[-1])
    assert [name for name in alice.names if name in acks] == acks
    await until(lambda: len(alice.messages) == 60)
    assert alice.messages == list(range(1, 61))


async def test_a_command_sees_what_those_before_it_did(house: House) -> None:
    await group(house, "alice")
    alice = await house.one.connect("alice")
    await alice.emit("send-message", conversationId="1", content="x")
    page = await alice.call("load-history", conversationId="1")
    assert [message["content"] for message in page["messages"]] == ["x"]


async def test_sends_are_in_flight_together_up_to_64_and_everything_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Draft] = []
    async with gated() as (store, house):
        committer = house.one.gateway.ctx.committer
        append = committer.append

        def counted(draft: Draft, then: Then) -> None:
            append(draft, then)
            started.append(draft)

        monkeypatch.setattr(committer, "append", counted)
        await group(house, "alice")
        alice = await house.one.connect("alice")
        store.writing.clear()
        acks = [await alice.emit("send-message", conversationId="1", content="x") for _ in range(70)]
        acks.append(await alice.emit("load-history", conversationId="1"))
        await until(lambda: len(started) == module.MAX_IN_FLIGHT)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(started) == module.MAX_IN_FLIGHT
        store.writing.set()
        page = await alice.acked(acks[-1])
        assert len(page["messages"]) == 50
        assert sum(store.batches) == len(started) == 70
        assert [name for name in alice.names if name in acks] == acks


async def test_a_send_does_not_start_before_another_command_has_ended() -> None:
    async with gated() as (store, house):
        await group(house, "alice")
        alice = await house.one.connect("alice")
        store.hold()
        load = await alice.emit("load-history", conversationId="1")
        send = await alice.emit("send-message", conversationId="1", content="x")
        await until(lambda: store.held == 1)
        assert store.batches == []
        store.looking.set()
        await alice.acked(send)
        assert (await alice.acked(load))["messages"] == []


async def test_the_transport_is_told_to_wait_while_too_many_commands_are_pending() -> None:
    async with gated() as (store, house):
        await group(house, "alice")
        alice = await house.one.connect("alice")
        store.hold(10_000)

        async def flood() -> None:
            for _ in range(module.MAX_PENDING * 3):
                await alice.emit("load-history", conversationId="1")

        flooding = asyncio.create_task(flood())
        await until(lambda: alice.refs == module.MAX_PENDING + 1)
        assert not flooding.done()
        store.looking.set()
        await flooding
        await settled(alice)
        assert len([name for name in alice.names if name.startswith("ack")]) == module.MAX_PENDING * 3


async def test_marks_in_flight_together_are_all_acked_in_order(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.join("1")
    messages = [(await bob.say("1"))["message"] for _ in range(10)]
    await until(lambda: len(alice.messages) == 10)
    acks = [await alice.emit("mark-as-read", messageId=message["id"]) for message in messages]
    await alice.acked(acks[-1])
    assert [name for name in alice.names if name in acks] == acks
    await until(lambda: len(alice.of("message-read")) == 10)
    assert [read["seq"] for read in alice.of("message-read")] == list(range(1, 11))


async def test_what_was_started_is_carried_through_when_the_client_goes() -> None:
    async with gated() as (store, house):
        await group(house, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await bob.join("1")
        store.writing.clear()
        await alice.emit("send-message", conversationId="1", content="x")
        await until(lambda: store.batches)
        alice.leave()
        store.writing.set()
        await until(lambda: bob.messages == [1])
        assert not [name for name in alice.names if name.startswith("ack")]


# --- what goes wrong ---


async def test_a_refusal_is_acked_and_emitted_and_the_connection_stays(house: House) -> None:
    alice = await house.one.connect("alice")
    ack = await alice.say("nowhere")
    assert (ack["success"], ack["code"]) == (False, "ROOM_NOT_FOUND")
    assert ack["details"] == {"conversationId": "nowhere"}
    [error] = alice.of("error")
    assert error["code"] == "ROOM_NOT_FOUND"
    assert alice.farewell is None


async def failing(_ctx: Context, _actor: Actor, _command: ListConversations) -> Outcome:
    raise RuntimeError("a bug")


async def test_a_bug_becomes_internal_with_an_id_that_is_in_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await house.one.connect("alice")
    monkeypatch.setitem(handlers.HANDLERS, ListConversations, failing)
    ack = await alice.call("list-conversations")
    assert (ack["success"], ack["code"]) == (False, "INTERNAL")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ack["details"]["id"] in record.getMessage()
    assert record.exc_info is not None
    assert "bug" not in ack["message"]
    assert (await alice.call("set-status", status="away"))["success"]


async def test_neither_a_token_nor_content_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SqliteStore):
        async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
            raise RuntimeError(f"no room for {len(drafts)}")

    caplog.set_level(logging.DEBUG)
    async with built(store=Broken(":memory:")) as house:
        await group(house, "alice")
        alice = await house.one.connect("alice")
        new = token("alice")
        await alice.call("authenticate", token=new)
        await alice.call("authenticate", token=new + "x")
        assert (await alice.say("1", "a canary in a mine"))["code"] == "INTERNAL"
    assert "canary" not in caplog.text
    assert new[-20:] not in caplog.text
    assert "UserID=alice" in caplog.text


async def test_a_bug_in_an_answer_is_answered_and_stops_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await group(house, "alice")
    alice = await house.one.connect("alice")
    dialect = house.one.wire.dialect
    reply = dialect.reply

    def broken(request: Request, *given: object) -> Answer:
        if request.name == "set-status":
            raise RuntimeError("a bug")
        return reply(request, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(dialect, "reply", broken)
    status = await alice.emit("set-status", status="away")
    send = await alice.emit("send-message", conversationId="1", content="x")
    assert (await alice.acked(status))["code"] == "INTERNAL"
    assert (await alice.acked(send))["success"]


async def test_storage_that_is_away_is_said_so() -> None:
    class Away(SqliteStore):
        async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
            raise Unavailable(count=len(drafts))

    async with built(store=Away(":memory:")) as house:
        await group(house, "alice")
        alice = await house.one.connect("alice")
        assert (await alice.say("1"))["code"] == "UNAVAILABLE"


# --- joining ---


async def test_a_join_is_answered_then_its_history_comes_and_then_live_messages(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    for _ in range(3):
        await bob.say("1")
    ack = await alice.join("1", limit=2)
    assert (ack["conversationId"], ack["lastSeq"]) == ("1", 3)
    await bob.say("1")
    await until(lambda: alice.messages == [2, 3, 4])
    names = [name for name in alice.names if name in ("ack 1", "conversation-history", "new-message")]
    assert names == ["ack 1", "conversation-history", "new-message"]
    assert alice.rooms == {"1"}


async def test_what_happens_while_joining_is_held_until_the_history_has_been_written() -> None:
    async with gated() as (store, house):
        await group(house, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await bob.say("1")
        store.hold()
        await alice.emit("join-conversation", conversationId="1")
        await until(lambda: store.held == 1)
        await bob.say("1")
        await bob.emit("user-typing", conversationId="1")
        await settled(bob)
        assert "new-message" not in alice.names
        store.looking.set()
        await until(lambda: "user-typing" in alice.names)
        assert alice.messages == [1, 2]
        assert alice.names[-3:] == ["conversation-history", "new-message", "user-typing"]


async def test_all_that_was_missed_comes_in_pages_as_the_client_takes_them(house: House) -> None:
    await group(house, "alice", "bob")
    bob = await house.one.connect("bob")
    alice = await house.one.connect("alice")
    await asyncio.gather(*(bob.emit("send-message", conversationId="1", content="x") for _ in range(1_100)))
    await settled(bob)
    alice.taking.clear()
    await alice.emit("join-conversation", conversationId="1", after=0)
    await until(lambda: alice.of("conversation-history"))
    for _ in range(MISSED_PAGE + 10):  # more than is missed comes meanwhile
        await bob.emit("send-message", conversationId="1", content="x")
    await settled(bob)
    assert len(alice.messages) == MISSED_PAGE
    alice.taking.set()
    await settled(alice)
    await bob.say("1")
    last = 1_100 + MISSED_PAGE + 11
    await until(lambda: alice.messages[-1] == last)
    assert alice.messages == list(range(1, last + 1))
    assert all(len(page["messages"]) <= 500 for page in alice.of("conversation-history"))


async def test_who_joins_while_more_happens_than_is_held_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("messaging.gateway.channel.MAX_HELD", 5)
    async with gated() as (store, house):
        await group(house, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        store.hold()
        await alice.emit("join-conversation", conversationId="1")
        await until(lambda: store.held == 1)
        for _ in range(20):
            await bob.say("1")
        store.looking.set()
        await settled(alice)
        await bob.say("1")
        await until(lambda: 21 in alice.messages)
        assert alice.messages == list(range(1, 22))


async def test_joining_again_gives_the_history_again_and_each_live_message_once(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    for _ in range(3):
        await alice.join("1")
        await bob.say("1")
    await until(lambda: len(alice.of("new-message")) == 3)
    assert [len(page["messages"]) for page in alice.of("conversation-history")] == [0, 1, 2]


async def test_a_join_that_fails_leaves_what_was_joined_before(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.join("1")
    real = handlers.HANDLERS.copy()
    for kind, handler in real.items():
        if handler.__name__ == "join_conversation":
            handlers.HANDLERS[kind] = failing
    try:
        assert not (await alice.join("1"))["success"]
        assert not (await bob.join("1"))["success"]
    finally:
        handlers.HANDLERS.update(real)
    await bob.say("1")
    await until(lambda: alice.messages == [1])
    assert bob.messages == []


async def test_who_leaves_hears_nothing_more(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.join("1")
    await bob.join("1")
    assert (await alice.call("leave-conversation", conversationId="1"))["success"]
    await bob.say("1")
    await until(lambda: bob.messages == [1])
    assert alice.messages == []
    assert alice.rooms == set()
    assert (await alice.call("leave-conversation", conversationId="1"))["success"]


async def test_who_is_removed_while_joining_is_not_let_in() -> None:
    async with gated() as (store, house):
        await group(house, "alice", "bob")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        await bob.join("1")
        store.hold()
        ack = await alice.emit("join-conversation", conversationId="1")
        await until(lambda: store.held == 1)
        await house.one.do(RemoveMember(conversation_id="1", user_id="alice"))
        store.looking.set()
        assert (await alice.acked(ack))["code"] == "ROOM_NOT_FOUND"
        await bob.say("1")
        await until(lambda: bob.messages == [1])
        assert alice.messages == []
        assert alice.rooms == set()


# --- signing in again ---


async def test_when_a_token_ends_nothing_is_done_or_delivered_until_there_is_a_new_one(house: House) -> None:
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice", seconds=0.15), await house.one.connect("bob")
    await alice.join("1")
    await bob.join("1")
    await until(lambda: "error" in alice.names)
    assert alice.of("error")[0]["code"] == "AUTH_FAILED"
    assert (await alice.say("1"))["code"] == "AUTH_FAILED"
    for _ in range(3):
        await bob.say("1")
    await until(lambda: bob.messages == [1, 2, 3])
    assert alice.messages == []
    assert (await alice.call("authenticate", token="nonsense"))["code"] == "AUTH_FAILED"
    assert (await alice.call("authenticate", token=token("bob")))["code"] == "AUTH_FAILED"
    assert (await alice.call("authenticate", token=token("alice")))["expiresAt"]
    await bob.say("1")
    await until(lambda: len(alice.messages) == 4)
    assert alice.messages == [1, 2, 3, 4]
    assert (await alice.say("1"))["success"]


async def test_a_session_that_is_not_signed_in_again_in_time_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "RENEWAL_SECONDS", 0.05)
    alice = await house.one.connect("alice", seconds=0.05)
    await until(lambda: alice.farewell is not None)
    assert alice.farewell is UNSIGNED
    assert alice.names.count("error") == 1


async def test_a_session_that_would_hold_too_much_is_closed_as_too_slow(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "MAX_HELD_CHARACTERS", 2_000)
    await group(house, "alice", "bob")
    alice, bob = await house.one.connect("alice", seconds=0.1), await house.one.connect("bob")
    await alice.join("1")
    await until(lambda: "error" in alice.names)
    await bob.say("1", "x" * 3_000)
    await until(lambda: alice.farewell is not None)
    assert alice.farewell is SLOW


async def test_signing_in_again_before_the_end_goes_on_without_a_break(house: House) -> None:
    await group(house, "alice")
    alice = await house.one.connect("alice", seconds=0.2)
    await alice.join("1")
    await alice.call("authenticate", token=token("alice"))
    await asyncio.sleep(0.25)  # the time at which the first token would have ended
    assert (await alice.say("1"))["success"]
    assert "error" not in alice.names


async def test_a_token_of_another_user_ends_nothing(house: House) -> None:
    alice = await house.one.connect("alice", seconds=60)
    assert (await alice.call("authenticate", token=token("bob")))["code"] == "AUTH_FAILED"
    assert (await alice.call("list-conversations"))["success"]


# --- the end ---


async def test_draining_finishes_what_was_begun_and_then_says_goodbye() -> None:
    async with gated() as (store, house):
        await group(house, "alice")
        alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
        store.writing.clear()
        ack = await alice.emit("send-message", conversationId="1", content="x")
        draining = asyncio.create_task(house.one.gateway.drain(5))
        await until(lambda: store.batches and bob.farewell is SHUTDOWN)
        assert [alice.farewell] == [None]
        store.writing.set()
        await draining
        assert (await alice.acked(ack))["success"]
        assert alice.farewell is SHUTDOWN
        assert bob.farewell is SHUTDOWN
        with pytest.raises(Unavailable):
            await house.one.gateway.sign_in(token("alice"), "10.0.0.1")


async def test_a_public_room_made_by_others_can_be_joined_and_left_by_closing(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="lobby", kind=Kind.ROOM))
    alice = await house.one.connect("alice")
    await alice.join("lobby")
    online = await alice.call("list-online-users", conversationId="lobby")
    assert online["onlineUsers"] == ["alice"]
    alice.leave()
    assert house.one.gateway.hub.channels == {}
    await house.one.do(DeleteConversation(conversation_id="lobby"))
