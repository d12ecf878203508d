"""Channel: whatever reaches a process, each watcher hears each message once, by rising seq.

The sessions here are only names; what a channel tells them is written down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from messaging.dialects import DIALECTS
from messaging.domain.events import Event, MessageSent, RoomEntered, TypingChanged
from messaging.domain.models import Conversation, Kind, Message, Position, Profile
from messaging.gateway import channel as module
from messaging.gateway.channel import Channel, Joining
from messaging.gateway.offset import Point
from messaging.gateway.session import Session
from tests.gateway.house import TestWire

WIRES = {name: TestWire(dialect) for name, dialect in DIALECTS.items()}
T0 = datetime(2026, 11, 20, tzinfo=UTC)
CONVERSATION = Conversation(id="7", kind=Kind.GROUP, created_at=T0, updated_at=T0)
BOB = Profile(id="bob")
TYPING = TypingChanged(conversation=CONVERSATION, user=BOB, active=True, at=T0)


def sent(seq: int) -> MessageSent:
    message = Message(
        id=seq, conversation_id="7", seq=seq, sender_id="bob", sender_seq=seq, content="", created_at=T0
    )
    return MessageSent(conversation=CONVERSATION, message=message, sender=BOB)


class Name:
    """Somebody who listens."""

    def __init__(self, user_id: str, dialect: str) -> None:
        self.user_id = user_id
        self.wire = WIRES[dialect]

    def hides(self, _user_id: str) -> bool:
        return False


def listener(user_id: str, dialect: str = "messaging") -> Session:
    return cast(Session, Name(user_id, dialect))


class Heard:
    """What a channel told to whom: seqs, and other events as they are."""

    def __init__(self) -> None:
        self.by: defaultdict[Session, list[int]] = defaultdict(list)
        self.others: defaultdict[Session, list[Event]] = defaultdict(list)

    def tell(self, sessions: Iterable[Session], event: Event, _here: Point | None = None) -> None:
        for session in sessions:
            if isinstance(event, MessageSent):
                self.by[session].append(event.message.seq)
            else:
                self.others[session].append(event)


class World(RuleBasedStateMachine):
    """A store in which messages appear, a bus that doubles, reorders and loses, and people who join.

    `reads` are histories that were read and not yet finished: what the store held at that time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = Heard()
        self.channel = Channel("7", self.heard.tell)
        self.stored = 0
        self.joins: dict[Session, tuple[Joining, int | None]] = {}
        self.begins: dict[Session, int] = {}
        self.people = [listener(user_id) for user_id in ("a", "b", "c")]

    @rule(count=st.integers(1, 4))
    def store(self, count: int) -> None:
        self.stored += count

    @precondition(lambda self: self.stored > 0)
    @rule(data=st.data())
    def bus(self, data: st.DataObject) -> None:
        """Any stored message is announced, for the first time or again."""
        self.channel.receive(sent(data.draw(st.integers(1, self.stored))))

    @precondition(lambda self: self.channel.next_seq is None)
    @rule()
    def follow(self) -> None:
        """Somebody begins to follow, and knows how far the store is."""
        self.channel.start_at(self.stored)

    @rule(number=st.integers(0, 2))
    def begin_join(self, number: int) -> None:
        session = self.people[number]
        self.joins[session] = (self.channel.begin_join(session), None)

    @precondition(lambda self: self.joins)
    @rule(data=st.data())
    def read_history(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(list(self.joins)))
        self.joins[session] = (self.joins[session][0], self.stored)

    @precondition(lambda self: any(position is not None for _, position in self.joins.values()))
    @rule(data=st.data())
    def finish_join(self, data: st.DataObject) -> None:
        ready = [session for session, (_, position) in self.joins.items() if position is not None]
        session = data.draw(st.sampled_from(ready))
        joining, position = self.joins[session]
        assert position is not None
        # What was heard before joining again belongs to an earlier time.
        self.heard.by[session].clear()
        self.begins[session] = position
        if self.channel.finish_join(joining, Position(position)):
            del self.joins[session]
        else:
            del self.begins[session]
            self.joins[session] = (joining, None)  # it reads on from the store

    @rule(number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        session = self.people[number]
        self.channel.leave(session)
        self.joins.pop(session, None)
        self.begins.pop(session, None)
        if self.channel.deserted:  # the hub drops it, and makes another one when somebody comes
            self.channel = Channel("7", self.heard.tell)

    @rule()
    def fill(self) -> None:
        """The channel catches up with the store."""
        if self.channel.next_seq is not None:
            for seq in range(self.channel.next_seq, self.stored + 1):
                self.channel.receive(sent(seq))

    @invariant()
    def each_hears_each_message_once_and_in_order(self) -> None:
        for session, position in self.begins.items():
            heard = self.heard.by[session]
            assert heard == list(range(position + 1, position + 1 + len(heard)))

    @invariant()
    def nobody_who_is_let_in_is_behind_the_channel(self) -> None:
        for session in set(self.begins) - set(self.joins):
            heard = self.heard.by[session]
            last = heard[-1] if heard else self.begins[session]
            assert last >= self.channel.last_seq

    def teardown(self) -> None:
        self.fill()
        if self.channel.next_seq is not None:
            for session in set(self.begins) - set(self.joins):
                assert self.begins[session] + len(self.heard.by[session]) == max(
                    self.stored, self.begins[session]
                )


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)


def joined(channel: Channel, user_id: str, last_seq: int) -> Session:
    session = listener(user_id)
    assert channel.finish_join(channel.begin_join(session), Position(last_seq))
    return session


def test_what_comes_early_waits_and_what_comes_twice_is_dropped() -> None:
    heard = Heard()
    channel = Channel("7", heard.tell)
    bob = joined(channel, "bob", 0)
    for seq in (3, 2, 3):
        channel.receive(sent(seq))
    assert heard.by[bob] == []
    assert channel.gap
    for seq in (1, 2, 1):
        channel.receive(sent(seq))
    assert heard.by[bob] == [1, 2, 3]
    assert not channel.gap


def test_more_than_can_be_kept_early_is_left_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EARLY", 2)
    heard = Heard()
    channel = Channel("7", heard.tell)
    bob = joined(channel, "bob", 0)
    for seq in (4, 3, 2, 1):
        channel.receive(sent(seq))
    assert heard.by[bob] == [1]
    for seq in range(2, 5):  # as they come from the store
        channel.receive(sent(seq))
    assert heard.by[bob] == [1, 2, 3, 4]


def test_who_joins_while_too_much_happens_reads_on_from_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 3)
    heard = Heard()
    channel = Channel("7", heard.tell)
    channel.start_at(0)
    bob = listener("bob")
    joining = channel.begin_join(bob)
    for seq in range(1, 10):
        channel.receive(sent(seq))
    assert not channel.finish_join(joining, Position(2))
    channel.receive(sent(10))
    assert channel.finish_join(joining, Position(9))
    assert heard.by[bob] == [10]


def test_who_begins_to_join_before_anybody_knows_the_end_misses_nothing_that_a_follower_skips() -> None:
    heard = Heard()
    channel = Channel("7", heard.tell)
    bob = listener("bob")
    joining = channel.begin_join(bob)
    channel.receive(sent(9))  # stored and announced behind the history that bob reads, up to 8
    channel.start_at(9)  # somebody follows from 9 on
    assert not channel.finish_join(joining, Position(8))
    assert channel.finish_join(joining, Position(9))
    channel.receive(sent(10))
    assert heard.by[bob] == [10]


def test_what_has_no_place_in_the_order_reaches_who_joins_behind_the_history() -> None:
    heard = Heard()
    channel = Channel("7", heard.tell)
    ann, bob, carol = joined(channel, "ann", 0), joined(channel, "bob", 0), listener("carol")
    joining = channel.begin_join(carol)
    channel.tell(TYPING, skip_user="bob")
    assert (heard.others[ann], heard.others[bob], heard.others[carol]) == ([TYPING], [], [])
    assert channel.finish_join(joining, Position(0))
    assert heard.others[carol] == [TYPING]


def test_a_channel_is_deserted_when_the_last_one_leaves() -> None:
    channel = Channel("7", Heard().tell)
    bob, carol = joined(channel, "bob", 0), listener("carol")
    channel.begin_join(carol)
    assert channel.listeners == {"bob", "carol"}
    channel.leave(bob)
    assert not channel.deserted
    channel.leave(carol)
    assert channel.deserted


def test_who_comes_is_told_only_where_somebody_has_words_for_it() -> None:
    heard = Heard()
    channel = Channel("7", heard.tell)
    carol, dan = joined(channel, "carol", 0), listener("dan", "ws-chat")
    entered = RoomEntered(conversation=CONVERSATION, user=BOB, at=T0)
    channel.tell(entered, skip_user="bob")
    assert not heard.others
    channel.finish_join(channel.begin_join(dan), Position(0))
    channel.tell(entered, skip_user="bob")
    assert heard.others[dan] == [entered]
    channel.leave(dan)
    heard.others.clear()
    channel.tell(entered, skip_user="bob")
    assert not heard.others
    channel.leave(carol)
    assert channel.deserted
