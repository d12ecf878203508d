"""Sending: what is stored, what is told, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from messaging.domain.commands import GetConversation, SendMessage, SetTyping
from messaging.domain.errors import (
    ClientError,
    InvalidFormat,
    MessageNotFound,
    MessageTooLong,
    PermissionDenied,
    RateLimited,
    RoomNotFound,
    Unavailable,
    UserNotFound,
)
from messaging.domain.events import MemberAdded, MessageSent, TypingChanged
from messaging.domain.ids import direct_id
from messaging.domain.models import (
    SYSTEM,
    Appended,
    Attachment,
    Author,
    Conversation,
    Draft,
    Hook,
    Kind,
    Member,
)
from messaging.domain.replies import ConversationReply, Sent
from messaging.service.policy import Policy
from messaging.stores.sqlite import SqliteStore
from tests.stage import NO_RULES, Stage, service, staged


async def test_a_message_gets_the_next_seq_and_is_told(stage: Stage) -> None:
    alice = await stage.user("alice", name="Alice")
    await stage.group("1", "alice")
    first, second = await stage.send(alice, "1"), await stage.send(alice, "1")
    assert (first.seq, second.seq) == (1, 2)
    told = [event for event in stage.events if isinstance(event, MessageSent)]
    assert [event.message for event in told] == [first, second]
    assert told[0].sender.name == "Alice"


async def test_a_message_sent_again_answers_with_the_first_and_tells_nobody(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    command = SendMessage(conversation_id="1", content="once", client_message_id="c1")
    first, again = await stage.outcome(alice, command), await stage.outcome(alice, command)
    assert isinstance(first.reply, Sent)
    assert isinstance(again.reply, Sent)
    assert again.reply.repeated
    assert again.reply.view.message == first.reply.view.message
    assert again.events == ()


async def test_the_first_message_makes_a_direct_conversation_and_announces_it_to_both(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    outcome = await stage.outcome(alice, SendMessage(to_user="bob", content="hi"))
    added = [event for event in outcome.events if isinstance(event, MemberAdded)]
    assert {event.user_id for event in added} == {"alice", "bob"}
    assert isinstance(outcome.events[2], MessageSent)
    reply = await stage.do(bob, GetConversation(conversation_id=direct_id("bob", "alice")))
    assert isinstance(reply, ConversationReply)
    assert reply.view.conversation.kind is Kind.DIRECT
    assert reply.view.last_seq == 1
    later = await stage.outcome(bob, SendMessage(to_user="alice", content="hi"))
    assert not [event for event in later.events if isinstance(event, MemberAdded)]


async def test_a_direct_conversation_can_be_begun_by_its_id(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    message = await stage.send(alice, direct_id("alice", "bob"))
    assert message.conversation_id == "dm:alice:bob"


async def test_a_message_to_somebody_who_does_not_exist_is_refused(stage: Stage) -> None:
    alice = await stage.user("alice")
    for command in (
        SendMessage(to_user="nobody", content="hi"),
        SendMessage(conversation_id=direct_id("alice", "nobody"), content="hi"),
    ):
        with pytest.raises(UserNotFound):
            await stage.do(alice, command)


async def test_nobody_talks_to_themselves(stage: Stage) -> None:
    alice = await stage.user("alice")
    with pytest.raises(InvalidFormat):
        await stage.do(alice, SendMessage(to_user="alice", content="hi"))


async def test_a_conversation_of_others_does_not_exist(stage: Stage) -> None:
    await stage.user("alice")
    await stage.user("bob")
    eve = await stage.user("eve")
    await stage.group("1", "alice", "bob")
    for conversation_id in ("1", "dm:alice:bob", "nowhere"):
        with pytest.raises(RoomNotFound):
            await stage.send(eve, conversation_id)


@pytest.mark.parametrize("content", ["", "   ", "\n\t"])
async def test_a_message_needs_content_or_an_attachment(stage: Stage, content: str) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    with pytest.raises(InvalidFormat):
        await stage.send(alice, "1", content)
    picture = Attachment(id="a", url="/p.png", file_name="p.png")
    reply = await stage.do(alice, SendMessage(conversation_id="1", content=content, attachments=(picture,)))
    assert isinstance(reply, Sent)
    assert reply.view.message.content == content


async def test_length_is_counted_in_code_points_after_trimming() -> None:
    async with staged(policy=Policy(max_message_length=3)) as stage:
        alice = await stage.user("alice")
        await stage.group("1", "alice")
        assert (await stage.send(alice, "1", "  😀😀😀 ")).content == "  😀😀😀 "
        with pytest.raises(MessageTooLong):
            await stage.send(alice, "1", "abcd")


async def test_a_reply_is_to_a_message_of_the_same_conversation(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    await stage.group("2", "alice")
    original = await stage.send(alice, "1")
    reply = await stage.do(alice, SendMessage(conversation_id="1", content="yes", reply_to=original.id))
    assert isinstance(reply, Sent)
    assert reply.view.message.reply_to == original.id
    with pytest.raises(MessageNotFound):
        await stage.do(alice, SendMessage(conversation_id="2", content="yes", reply_to=original.id))


async def test_only_a_service_speaks_for_others_and_for_the_system(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.user("bob")
    await stage.group("1", "alice", "bob")
    for command in (
        SendMessage(conversation_id="1", content="x", sender_id="bob"),
        SendMessage(conversation_id="1", content="x", system=True),
    ):
        with pytest.raises(PermissionDenied):
            await stage.do(alice, command)
    as_bob = await stage.do(service(), SendMessage(conversation_id="1", content="x", sender_id="bob"))
    assert isinstance(as_bob, Sent)
    assert as_bob.view.sender.id == "bob"
    as_system = await stage.do(service(), SendMessage(conversation_id="1", content="x", system=True))
    assert isinstance(as_system, Sent)
    assert as_system.view.sender == SYSTEM
    assert as_system.view.message.author is Author.SYSTEM


async def test_a_service_cannot_bring_a_third_voice_into_a_direct_conversation(stage: Stage) -> None:
    for user_id in ("alice", "bob", "eve"):
        await stage.user(user_id)
    with pytest.raises(PermissionDenied):
        await stage.do(service(), SendMessage(conversation_id="dm:alice:bob", content="x", sender_id="eve"))


async def test_refused_and_repeated_sends_do_not_count_against_the_limit() -> None:
    async with staged(rules={**NO_RULES, "messages": "3/minute"}) as stage:
        alice = await stage.user("alice")
        await stage.group("1", "alice")
        command = SendMessage(conversation_id="1", content="x", client_message_id="c1")
        for _ in range(3):
            await stage.do(alice, command)
            with pytest.raises(InvalidFormat):
                await stage.send(alice, "1", "")
        await stage.send(alice, "1")
        await stage.send(alice, "1")
        with pytest.raises(RateLimited) as refused:
            await stage.send(alice, "1")
        assert 1 <= int(str(refused.value.details["retryAfter"])) <= 60
        again = await stage.do(alice, command)
        assert isinstance(again, Sent)
        assert again.repeated


class Failing(SqliteStore):
    """A store that refuses the next write of the kind that is named."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.fails = ""

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        """As Store.append."""
        self._fail("append")
        if self.fails == "one":
            self.fails = ""
            return [RoomNotFound() for _ in drafts]
        return await super().append(drafts)

    async def save(
        self,
        conversation: Conversation,
        *,
        put: Sequence[Member] = (),
        remove: Collection[str] = (),
        hooks: Sequence[Hook] = (),
    ) -> bool:
        """As Store.save."""
        self._fail("save")
        return await super().save(conversation, put=put, remove=remove, hooks=hooks)

    def _fail(self, what: str) -> None:
        if self.fails == what:
            self.fails = ""
            raise Unavailable


@pytest.mark.parametrize("fails", ["append", "one", "save"])
async def test_a_send_that_fails_does_not_count_against_the_limit(fails: str) -> None:
    store = Failing()
    async with staged(rules={**NO_RULES, "messages": "2/minute"}, store=store) as stage:
        alice = await stage.user("alice")
        await stage.user("bob")
        for _ in range(3):
            store.fails = fails
            with pytest.raises((Unavailable, RoomNotFound)):
                await stage.send(alice, "dm:alice:bob")
        await stage.send(alice, "dm:alice:bob")
        await stage.send(alice, "dm:alice:bob")
        with pytest.raises(RateLimited):
            await stage.send(alice, "dm:alice:bob")


async def test_services_are_exempt_from_limits() -> None:
    async with staged(rules={**NO_RULES, "messages": "1/minute"}) as stage:
        await stage.group("1")
        for _ in range(3):
            await stage.do(service(), SendMessage(conversation_id="1", content="x", system=True))


async def test_sends_at_the_same_moment_are_all_stored_in_one_dense_order(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    messages = await asyncio.gather(*(stage.send(alice, "1", str(n)) for n in range(100)))
    assert sorted(message.seq for message in messages) == list(range(1, 101))


async def test_typing_stops_once_by_signal_message_or_time(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("1", "alice")
    start, stop = (SetTyping(conversation_id="1", active=active) for active in (True, False))

    def told() -> list[bool]:
        seen = [event.active for event in stage.events if isinstance(event, TypingChanged)]
        stage.events.clear()
        return seen

    for command in (start, stop, stop):
        await stage.do(alice, command)
    assert told() == [True, False]
    await stage.do(alice, start)
    await stage.send(alice, "1")
    await stage.do(alice, stop)
    assert told() == [True, False]
    await stage.do(alice, start)
    stage.clock.pass_by(29)
    assert stage.ctx.typists.expire(stage.clock()) == ()
    stage.clock.pass_by(2)
    assert [event.active for event in stage.ctx.typists.expire(stage.clock())] == [False]


async def test_a_signal_over_the_limit_is_acknowledged_and_dropped() -> None:
    async with staged(rules={**NO_RULES, "signals": "1/minute"}) as stage:
        alice = await stage.user("alice")
        await stage.group("1", "alice")
        command = SetTyping(conversation_id="1", active=True)
        assert (await stage.outcome(alice, command)).events
        assert not (await stage.outcome(alice, command)).events
