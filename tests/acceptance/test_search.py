"""Searching with real clients, on SQLite and in two processes on MongoDB: the same is found by everybody."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import Stage, call, new_id
from tests.servers import ServerProcess

SAID = ("Rendez-vous à l'école", "un rendez-vous demain", "le rendez-vous d'Ésaïe", "東京で会いましょう")


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def servers(request: pytest.FixtureRequest, service: Service) -> tuple[ServerProcess, ...]:
    """One process on SQLite; two on MongoDB and Redis."""
    if request.param == "sqlite":
        return service({})
    return service(request.getfixturevalue("on_mongodb_and_redis"), processes=2)


async def test_what_is_acked_is_found_by_everybody_on_every_process(stage: Stage) -> None:
    names = new_id(), new_id()
    group = await stage.group(*names)
    alice = await stage.messaging(names[0])
    bob = await stage.chat(names[1], process=len(stage.servers) - 1)
    for content in SAID:
        await call(alice, "send-message", conversationId=group, content=content)
    found = await call(bob, "message:search", query="RENDEZ vous", limit=2)
    assert [message["content"] for message in found["messages"]] == [SAID[2], SAID[1]]
    rest = await call(bob, "message:search", query="RENDEZ vous", limit=2, next=found["next"])
    assert ([message["content"] for message in rest["messages"]], rest["next"]) == ([SAID[0]], None)
    assert rest["messages"][0]["senderId"] == int(names[0])
    expectations = {"esa": [SAID[2]], "東京": [SAID[3]], "vous dem": [SAID[1]], "vou dem": []}
    for query, expected in expectations.items():
        ack = await call(alice, "search-messages", query=query, conversationId=group)
        assert [message["content"] for message in ack["messages"]] == expected
    answer = await stage.rest("GET", "/api/search?q=esa", user=names[0])
    assert [message["content"] for message in answer.body["messages"]] == [SAID[2]]


async def test_nobody_finds_what_they_may_not_read(stage: Stage) -> None:
    member, stranger = new_id(), new_id()
    group = await stage.group(member)
    await stage.post(member, group, "a secret meeting")
    other = await stage.messaging(stranger)
    assert (await call(other, "search-messages", query="secret"))["messages"] == []
    ack = await other.emit_with_ack("search-messages", {"query": "secret", "conversationId": group})
    assert ack["code"] == "ROOM_NOT_FOUND"
    ack = await other.emit_with_ack("search-messages", {"query": "?!"})
    assert ack["code"] == "INVALID_FORMAT"


async def test_who_was_removed_finds_nothing_there_any_more(stage: Stage) -> None:
    owner, guest = new_id(), new_id()
    group = await stage.group(owner, guest)
    await stage.post(owner, group, "for members only")
    client = await stage.messaging(guest)
    assert len((await call(client, "search-messages", query="members"))["messages"]) == 1
    await stage.rest("DELETE", f"/api/conversations/{group}/members/{guest}")
    assert (await call(client, "search-messages", query="members"))["messages"] == []
