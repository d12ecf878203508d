"""Searching as people ask for it."""

from __future__ import annotations

import pytest

from messaging.domain.commands import Actor, CreateConversation, MarkConversationRead, SearchMessages
from messaging.domain.errors import InvalidFormat, RoomNotFound
from messaging.domain.models import Kind
from messaging.domain.replies import Found
from tests.stage import Stage, service


async def found(stage: Stage, actor: Actor, query: str, **more: object) -> Found:
    reply = await stage.do(actor, SearchMessages(query=query, **more))  # type: ignore[arg-type]  # by name
    assert isinstance(reply, Found)
    return reply


def contents(reply: Found) -> list[str]:
    return [view.message.content for view in reply.messages]


async def test_a_user_finds_what_was_said_where_they_are_a_member(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("ours", "alice", "bob")
    await stage.group("theirs", "bob")
    await stage.send(bob, "ours", "Le café est prêt")
    await stage.send(bob, "theirs", "Le café est froid")
    assert contents(await found(stage, alice, "CAFE")) == ["Le café est prêt"]
    assert contents(await found(stage, bob, "cafe")) == ["Le café est froid", "Le café est prêt"]
    assert contents(await found(stage, bob, "cafe", conversation_id="ours")) == ["Le café est prêt"]
    with pytest.raises(RoomNotFound):
        await found(stage, alice, "cafe", conversation_id="theirs")


async def test_a_public_room_is_searched_only_where_it_is_named(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, CreateConversation(kind=Kind.ROOM, name="lobby"))
    await stage.send(alice, "lobby", "hello everybody")
    assert contents(await found(stage, alice, "hello")) == []
    assert contents(await found(stage, bob, "hello", conversation_id="lobby")) == ["hello everybody"]


async def test_a_service_searches_any_conversation_that_it_names(stage: Stage) -> None:
    alice = await stage.user("alice")
    await stage.group("ours", "alice")
    await stage.send(alice, "ours", "hello host")
    assert contents(await found(stage, service(), "hello", conversation_id="ours")) == ["hello host"]


async def test_pages_of_what_is_found_have_each_message_once_with_its_reads(stage: Stage) -> None:
    alice, bob = await stage.user("alice", name="Alice"), await stage.user("bob")
    for group in ("one", "two"):
        await stage.group(group, "alice", "bob")
    for number in range(5):
        await stage.send(alice, ("one", "two")[number % 2], f"page {number}")
        stage.clock.pass_by(0.01)
    await stage.do(bob, MarkConversationRead(conversation_id="one"))
    first = await found(stage, bob, "page", limit=3)
    assert contents(first) == ["page 4", "page 3", "page 2"]
    assert [view.read_at is not None for view in first.messages] == [True, False, True]
    assert {view.sender.name for view in first.messages} == {"Alice"}
    last = await found(stage, bob, "page", limit=3, next=first.next)
    assert (contents(last), last.next) == (["page 1", "page 0"], None)


@pytest.mark.parametrize("query", ["!?", "👍", " ".join(["word"] * 33)])
async def test_a_query_needs_words_and_not_too_many(stage: Stage, query: str) -> None:
    with pytest.raises(InvalidFormat) as refused:
        await found(stage, await stage.user("alice"), query)
    assert refused.value.details["field"] == "query"


@pytest.mark.parametrize("place", ["x", "0", "1.5", "9" * 30])
async def test_a_page_goes_on_only_where_one_ended(stage: Stage, place: str) -> None:
    with pytest.raises(InvalidFormat):
        await found(stage, await stage.user("alice"), "hello", next=place)
