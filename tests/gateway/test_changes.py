"""Changes of messages: each is heard once, by rising rev, and none before the message that it is about."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from messaging.domain.commands import Command, DeleteMessage, EditMessage, PutConversation, SetReaction
from messaging.domain.events import Announcement, Event, MessageChange, MessageEdited, MessageSent
from messaging.domain.models import Kind, Position
from messaging.gateway import channel as module
from messaging.gateway.channel import Channel, Joining
from messaging.gateway.session import Session
from tests.gateway.house import Client, House, Process, until
from tests.gateway.test_channel import BOB, CONVERSATION, T0, Heard, listener, sent

# --- one channel -----------------------------------------------------------------------------------------


def edit(rev: int, seq: int) -> MessageEdited:
    message = replace(sent(seq).message, rev=rev)
    return MessageEdited(
        conversation=CONVERSATION, message=message, sender=BOB, read_at=None, user_id="bob", rev=rev, at=T0
    )


def revs(events: list[Event]) -> list[int]:
    return [event.rev for event in events if isinstance(event, MessageEdited)]


class World(RuleBasedStateMachine):
    """A store with messages and changes, a bus that doubles, reorders and loses, and people who join.

    `changes` are the seqs of the messages that were changed, by rev.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = Heard()
        self.channel = Channel("7", self.heard.tell)
        self.stored = 0
        self.changes: list[int] = []
        self.joins: dict[Session, tuple[Joining, Position | None]] = {}
        self.begins: dict[Session, Position] = {}
        self.seen: dict[Session, dict[int, int]] = {}
        self.people = [listener(user_id) for user_id in ("a", "b", "c")]

    @property
    def here(self) -> Position:
        return Position(self.stored, len(self.changes))

    def event(self, rev: int) -> MessageEdited:
        return edit(rev, self.changes[rev - 1])

    @rule(count=st.integers(1, 3))
    def store(self, count: int) -> None:
        self.stored += count

    @precondition(lambda self: self.stored > 0)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        self.changes.append(data.draw(st.integers(1, self.stored)))

    @precondition(lambda self: self.stored > 0)
    @rule(data=st.data())
    def bus(self, data: st.DataObject) -> None:
        self.channel.receive(sent(data.draw(st.integers(1, self.stored))))

    @precondition(lambda self: self.changes)
    @rule(data=st.data())
    def bus_of_changes(self, data: st.DataObject) -> None:
        self.channel.receive_change(self.event(data.draw(st.integers(1, len(self.changes)))))

    @precondition(lambda self: self.channel.next_seq is None and self.channel.next_rev is None)
    @rule()
    def follow(self) -> None:
        self.channel.start_at(self.stored)
        self.channel.start_at_rev(len(self.changes))

    @rule(number=st.integers(0, 2))
    def begin_join(self, number: int) -> None:
        """As the hub: who joins knows the last rev before it reads the history."""
        session = self.people[number]
        self.joins[session] = (self.channel.begin_join(session), None)
        self.channel.start_at_rev(len(self.changes))

    @precondition(lambda self: self.joins)
    @rule(data=st.data())
    def read_history(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(list(self.joins)))
        joining, position = self.joins[session]
        last = {seq: rev for rev, seq in enumerate(self.changes, 1)}
        first = data.draw(st.integers(1, self.stored + 1))
        messages = [replace(sent(seq).message, rev=last.get(seq, 0)) for seq in range(first, self.stored + 1)]
        joining.saw(messages)
        rev = joining.since_rev if position is None else len(self.changes)
        self.joins[session] = (joining, Position(self.stored, rev))
        self.seen[session] = dict(joining.seen)

    @precondition(lambda self: any(position is not None for _, position in self.joins.values()))
    @rule(data=st.data())
    def finish_join(self, data: st.DataObject) -> None:
        ready = [session for session, (_, position) in self.joins.items() if position is not None]
        session = data.draw(st.sampled_from(ready))
        joining, position = self.joins[session]
        assert position is not None
        self.heard.by[session].clear()
        self.heard.others[session].clear()
        self.begins[session] = position
        if self.channel.finish_join(joining, position):
            del self.joins[session]
        else:
            del self.begins[session]
            self.joins[session] = (joining, self.here)  # it has read on from the store

    @rule(number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        session = self.people[number]
        self.channel.leave(session)
        self.joins.pop(session, None)
        self.begins.pop(session, None)
        if self.channel.deserted:
            self.channel = Channel("7", self.heard.tell)

    @rule()
    def fill(self) -> None:
        """The channel catches up with the store: messages first."""
        if self.channel.next_seq is not None:
            for seq in range(self.channel.next_seq, self.stored + 1):
                self.channel.receive(sent(seq))
        if self.channel.next_rev is not None and self.channel.next_seq is not None:
            missed = [self.event(rev) for rev in range(self.channel.next_rev, len(self.changes) + 1)]
            lasting = {event.message.seq: event for event in missed}
            events: list[MessageChange] = [e for e in missed if lasting[e.message.seq] is e]
            self.channel.receive_missed(events, len(self.changes))

    @invariant()
    def changes_are_heard_once_by_rising_rev_behind_what_was_known(self) -> None:
        for session, position in self.begins.items():
            heard = revs(self.heard.others[session])
            assert heard == sorted(set(heard))
            assert all(rev > position.rev for rev in heard)

    @invariant()
    def no_change_is_heard_before_its_message(self) -> None:
        for session, position in self.begins.items():
            last = self.heard.by[session][-1] if self.heard.by[session] else position.seq
            assert all(
                event.message.seq <= last
                for event in self.heard.others[session]
                if isinstance(event, MessageEdited)
            )

    def teardown(self) -> None:
        """Whoever is let in knows each message as it was changed last."""
        self.fill()
        last = {seq: rev for rev, seq in enumerate(self.changes, 1)}
        if self.channel.next_rev is None or self.channel.next_seq is None:
            return
        for session in set(self.begins) - set(self.joins):
            known = self.seen.get(session, {}) | {
                event.message.seq: event.rev
                for event in self.heard.others[session]
                if isinstance(event, MessageEdited)
            }
            begin = self.begins[session]
            for seq, rev in last.items():
                assert rev <= begin.rev or known.get(seq) == rev, (seq, rev, begin, known)


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_a_change_waits_for_the_message_that_it_is_about() -> None:
    heard = Heard()
    channel = Channel("7", heard.tell)
    bob = listener("bob")
    assert channel.finish_join(channel.begin_join(bob), Position())
    channel.receive_change(edit(1, 2))
    channel.receive_change(edit(2, 1))
    channel.receive(sent(1))
    assert heard.others[bob] == []
    assert channel.gap
    channel.receive(sent(2))
    assert revs(heard.others[bob]) == [1, 2]
    assert not channel.gap


def test_who_joins_while_too_much_is_changed_reads_on_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 3)
    heard = Heard()
    channel = Channel("7", heard.tell)
    channel.start_at(1)
    channel.start_at_rev(0)
    bob = listener("bob")
    joining = channel.begin_join(bob)
    for rev in range(1, 10):
        channel.receive_change(edit(rev, 1))
    assert not channel.finish_join(joining, Position(1, 0))
    channel.receive_change(edit(10, 1))
    assert channel.finish_join(joining, Position(1, 9))
    assert revs(heard.others[bob]) == [10]


# --- whole processes -------------------------------------------------------------------------------------


async def group(process: Process, *user_ids: str) -> None:
    await process.do(PutConversation(conversation_id="1", member_ids=user_ids))


async def make(process: Process, user: Client, command: Command) -> None:
    outcome = await process.gateway.perform(user.session.actor, command)
    assert outcome.events


def state(client: Client) -> dict[str, dict[str, Any]]:
    """What a client knows of all messages, by what it was told."""
    known: dict[str, dict[str, Any]] = {}
    for name, told in client.heard:
        match name:
            case "conversation-history":
                known |= {message["id"]: message for message in told["messages"]}
            case "new-message" | "message-edited":
                known[told["id"]] = told
            case "message-deleted":
                gone = {"content": "", "reactions": [], "attachments": [], "deletedAt": told["deletedAt"]}
                known[told["messageId"]] = known.get(told["messageId"], {}) | gone
            case "reaction-updated":
                message = known.get(told["messageId"], {})
                known[told["messageId"]] = message | {"reactions": told["reactions"]}
            case _:
                pass
    return known


async def fresh(process: Process, user_id: str = "alice") -> dict[str, dict[str, Any]]:
    """What somebody knows who joins only now."""
    client = await process.connect(user_id)
    await client.join("1", limit=200)
    found = state(client)
    client.leave()
    return found


def changed(client: Client) -> list[str]:
    """The kinds of changes that a client was told, in their order."""
    return [
        name for name in client.names if name in ("message-edited", "message-deleted", "reaction-updated")
    ]


async def test_everybody_hears_of_changes_on_both_processes_in_one_order(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.join("1")
    sent_ = (await alice.say("1", "first"))["message"]
    await until(lambda: bob.messages == [1])
    assert (await alice.call("edit-message", messageId=sent_["id"], content="second"))["success"]
    await asyncio.gather(
        alice.call("add-reaction", messageId=sent_["id"], emoji="👍"),
        bob.call("add-reaction", messageId=sent_["id"], emoji="👍"),
        bob.call("add-reaction", messageId=sent_["id"], emoji="🎉"),
    )
    assert (await bob.call("remove-reaction", messageId=sent_["id"], emoji="👍"))["success"]
    assert (await alice.call("delete-message", messageId=sent_["id"]))["success"]
    await until(lambda: "message-deleted" in bob.names and "message-deleted" in alice.names)
    assert changed(alice) == changed(bob)
    assert changed(alice) == ["message-edited", *["reaction-updated"] * 4, "message-deleted"]
    assert alice.of("reaction-updated") == bob.of("reaction-updated")
    assert state(alice) == state(bob) == await fresh(street.one)


async def test_the_answer_to_a_change_comes_before_the_event(house: House) -> None:
    await group(house.one, "alice")
    alice = await house.one.connect("alice")
    await alice.join("1")
    sent_ = (await alice.say("1"))["message"]
    ack = await alice.emit("edit-message", messageId=sent_["id"], content="x")
    await until(lambda: "message-edited" in alice.names)
    assert alice.names.index(ack) < alice.names.index("message-edited")
    repeated = await alice.call("edit-message", messageId=sent_["id"], content="x")
    assert repeated["success"]
    assert alice.names.count("message-edited") == 2  # told to who asked, and to nobody else


async def test_changes_that_the_bus_lost_are_found_by_comparing_and_told_once(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.join("1")
    ids = [int((await alice.say("1", str(number)))["message"]["id"]) for number in range(3)]
    await until(lambda: bob.messages == [1, 2, 3])

    def loses(event: Announcement) -> bool:
        return isinstance(event, MessageChange)

    street.one.bus.loses = loses
    await make(street.one, alice, EditMessage(message_id=ids[0], content="other"))
    await make(street.one, alice, SetReaction(message_id=ids[1], emoji="👍", present=True))
    await make(street.one, alice, SetReaction(message_id=ids[1], emoji="👍", present=False))
    await make(street.one, alice, DeleteMessage(message_id=ids[2]))
    assert changed(bob) == []
    await street.other.gateway.hub.compare()
    assert changed(bob) == ["message-edited", "reaction-updated", "message-deleted"]
    await street.other.gateway.hub.compare()
    assert len(changed(bob)) == 3
    assert state(bob) == await fresh(street.one)
    street.one.bus.loses = lambda _event: False
    await make(street.one, alice, EditMessage(message_id=ids[0], content="again"))
    await until(lambda: len(changed(bob)) == 4)


async def test_a_change_that_overtakes_its_message_on_the_bus_waits_for_it(street: House) -> None:
    await group(street.one, "alice", "bob")
    alice, bob = await street.one.connect("alice"), await street.other.connect("bob")
    await alice.join("1")
    await bob.join("1")
    street.one.bus.loses = lambda event: isinstance(event, MessageSent)
    message = (await alice.say("1", "first"))["message"]
    await make(street.one, alice, EditMessage(message_id=int(message["id"]), content="second"))
    await until(lambda: "message-edited" in bob.names)
    assert bob.names.index("new-message") < bob.names.index("message-edited")
    assert state(bob) == await fresh(street.one)


async def test_who_comes_back_with_what_they_had_hears_what_became_of_it(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await bob.join("1")
    ids = [int((await alice.say("1", str(number)))["message"]["id"]) for number in range(5)]
    await until(lambda: bob.messages == [1, 2, 3, 4, 5])
    kept = list(bob.heard)
    bob.leave()
    await make(house.one, alice, EditMessage(message_id=ids[0], content="other"))
    for present in (True, False, True):
        await make(house.one, alice, SetReaction(message_id=ids[1], emoji="👍", present=present))
    await make(house.one, alice, DeleteMessage(message_id=ids[2]))
    late = int((await alice.say("1", "late"))["message"]["id"])
    await make(house.one, alice, EditMessage(message_id=late, content="later"))
    back = await house.one.connect("bob")
    await back.join("1", after=5)
    assert back.messages == [6]
    assert changed(back) == ["message-edited", "reaction-updated", "message-deleted"]
    assert back.names.index("conversation-history") < back.names.index("message-edited")
    await make(house.one, alice, EditMessage(message_id=ids[3], content="live"))
    await until(lambda: len(changed(back)) == 4)
    back.heard[:0] = kept
    assert state(back) == await fresh(house.one)


async def test_who_joins_anew_hears_no_change_that_the_history_shows(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="r", kind=Kind.ROOM))
    alice, bob = await house.one.connect("alice"), await house.one.connect("bob")
    await alice.join("r")
    message = (await alice.say("r", "x"))["message"]
    await make(house.one, alice, EditMessage(message_id=int(message["id"]), content="y"))
    alice.leave()  # the last one: the channel forgets where it was
    await bob.join("r")
    await house.one.gateway.hub.compare()
    assert changed(bob) == []
    assert bob.of("conversation-history")[0]["messages"][0]["content"] == "y"
    dora = await house.one.connect("alice")
    await make(house.one, dora, SetReaction(message_id=int(message["id"]), emoji="👍", present=True))
    await until(lambda: changed(bob) == ["reaction-updated"])


def synced(client: Client) -> list[dict[str, Any]]:
    """What a device was told when it had all that it missed."""
    return [e["payload"] for e in client.of("connection_event") if e["payload"]["event"] == "synced"]


async def test_a_device_that_comes_back_hears_what_became_of_what_it_has(house: House) -> None:
    await group(house.one, "alice", "bob")
    alice = await house.one.connect("alice")
    desk = await house.one.connect("bob", dialect="unified", device="desk")
    await until(lambda: synced(desk))
    ids = [int((await alice.say("1", str(number)))["message"]["id"]) for number in range(3)]
    await until(lambda: len(desk.of("group_message")) == 3)
    await make(house.one, alice, SetReaction(message_id=ids[2], emoji="🎉", present=True))
    await until(lambda: len(desk.of("message_reaction")) == 1)
    store = house.one.gateway.ctx.store
    async with asyncio.timeout(5):
        while (await store.positions("bob", "desk") or {}).get("1") != Position(3, 1):  # noqa: ASYNC110
            await asyncio.sleep(0)
    desk.leave()
    await make(house.one, alice, EditMessage(message_id=ids[0], content="other"))
    await make(house.one, alice, DeleteMessage(message_id=ids[1]))
    late = int((await alice.say("1", "late"))["message"]["id"])
    await make(house.one, alice, EditMessage(message_id=late, content="later"))
    again = await house.one.connect("bob", dialect="unified", device="desk")
    await until(lambda: synced(again))
    assert [m["payload"]["content"] for m in again.of("group_message")] == ["later"]
    assert [m["payload"]["message_id"] for m in again.of("message_edited")] == [ids[0]]
    assert [m["payload"]["message_id"] for m in again.of("message_deleted")] == [ids[1]]
    assert again.of("message_reaction") == []
    assert synced(again) == [{"event": "synced", "count": 3, "more": False}]


async def test_a_reaction_on_ws_chat_needs_the_room_to_be_joined(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="general", kind=Kind.ROOM))
    alice = await house.one.connect("alice", dialect="ws-chat")

    async def ask(name: str, **data: object) -> None:
        await alice.emit(name, type=name, data=data)
        await until(lambda: not alice.session.busy)

    await ask("join_room", room="general")
    await ask("room_message", room="general", content="x")
    await until(lambda: len(alice.of("room_message")) == 1)
    message_id = alice.of("room_message")[0]["data"]["id"]
    put = {"room": "general", "message_type": "reaction", "content": "👍", "reply_to": message_id}
    await ask("leave_room", room="general")
    await ask("room_message", **put)
    assert alice.of("error")[-1]["data"]["code"] == "PERMISSION_DENIED"
    await ask("join_room", room="general")
    await ask("room_message", **put)
    await until(lambda: len(alice.of("room_message")) == 2)
    assert alice.of("room_message")[1]["data"]["message_type"] == "reaction"
    await ask("reaction_removed", message_id=message_id, content="👍")
    await until(lambda: len(alice.of("reaction_removed")) == 1)
