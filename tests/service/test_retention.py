"""Retention as readers meet it: history starts later, and nothing else is wrong."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.commands import (
    ChangeConversation,
    GetConversation,
    JoinConversation,
    ListConversations,
    LoadHistory,
    PutConversation,
    PutMember,
)
from messaging.domain.errors import PermissionDenied
from messaging.domain.models import Role
from messaging.domain.replies import ConversationList, ConversationReply, HistoryPage, Joined
from messaging.service import retention, seats
from messaging.service.policy import Policy
from messaging.service.retention import retain
from tests.stage import Stage, service, staged

DAY = 24 * 3600
SEAT_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _seats_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "SEAT_SECONDS", SEAT_SECONDS)


async def swept(stage: Stage) -> int:
    """Old messages are removed; in how many steps."""
    steps = [events async for events in retain(stage.ctx)]
    return len(steps)


async def told(stage: Stage, days: int) -> None:
    """A group with a message of alice's on each day; and it is as many days later."""
    alice = await stage.user("alice")
    await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for number in range(days):
        await stage.send(alice, "g", str(number))
        stage.clock.pass_by(DAY)


async def page(stage: Stage, **where: int) -> HistoryPage:
    await asyncio.sleep(2 * SEAT_SECONDS)  # what was removed is known of a conversation so much later
    reply = await stage.do(await stage.user("bob"), LoadHistory(conversation_id="g", **where))  # type: ignore[arg-type]  # by name
    assert isinstance(reply, HistoryPage)
    return reply


async def test_history_starts_later_and_says_so() -> None:
    async with staged(policy=Policy(retention_days=3)) as stage:
        await told(stage, 10)
        await swept(stage)
        shown = await page(stage)
        assert [view.message.seq for view in shown.messages] == [8, 9, 10]
        assert (shown.has_more, shown.last_seq) == (False, 10)
        assert (await page(stage, limit=2)).has_more
        missed = await page(stage, after=4, limit=2)
        assert ([view.message.seq for view in missed.messages], missed.has_more) == ([8, 9], True)
        reply = await stage.do(await stage.user("bob"), JoinConversation(conversation_id="g"))
        assert isinstance(reply, Joined)
        assert (len(reply.messages), reply.has_more) == (3, False)


async def test_unread_counts_only_what_is_there() -> None:
    async with staged(policy=Policy(retention_days=3)) as stage:
        await told(stage, 10)
        await swept(stage)
        reply = await stage.do(await stage.user("bob"), ListConversations())
        assert isinstance(reply, ConversationList)
        assert reply.total_unread == 3


async def test_the_last_message_stays_without_its_words_and_numbering_goes_on() -> None:
    async with staged(policy=Policy(retention_days=3)) as stage:
        await told(stage, 2)
        stage.clock.pass_by(9 * DAY)
        await swept(stage)
        (view,) = (await page(stage)).messages
        assert (view.message.seq, view.message.content) == (2, "")
        assert view.message.deleted_at is not None
        assert (await stage.send(await stage.user("alice"), "g", "anew")).seq == 3


async def test_much_goes_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MESSAGES_AT_ONCE", 2)
    async with staged(policy=Policy(retention_days=1)) as stage:
        await told(stage, 9)
        assert await swept(stage) >= 4
        assert [view.message.seq for view in (await page(stage)).messages] == [9]


async def test_a_conversation_says_itself_how_long_and_its_owner_or_a_service_says_it(stage: Stage) -> None:
    await told(stage, 5)
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await swept(stage)
    assert len((await page(stage)).messages) == 5
    await stage.do(service(), PutConversation(conversation_id="g", retention_days=4))
    await stage.do(service(), PutMember(conversation_id="g", user_id="alice", role=Role.OWNER))
    await stage.do(service(), PutMember(conversation_id="g", user_id="bob", role=Role.ADMIN))
    with pytest.raises(PermissionDenied):
        await stage.do(bob, ChangeConversation(conversation_id="g", retention_days=1))
    await stage.do(alice, ChangeConversation(conversation_id="g", retention_days=2))
    reply = await stage.do(alice, GetConversation(conversation_id="g"))
    assert isinstance(reply, ConversationReply)
    assert reply.view.conversation.retention_days == 2
    await swept(stage)
    assert len((await page(stage)).messages) == 2
