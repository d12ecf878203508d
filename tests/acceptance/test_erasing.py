"""Erasing over HTTP, while the user is connected: on SQLite, and on MongoDB in two processes."""

from __future__ import annotations

import json

import aiohttp
import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import Json, Stage, eventually, join, new_id, say, token
from tests.servers import ServerProcess


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def servers(request: pytest.FixtureRequest, service: Service) -> tuple[ServerProcess, ...]:
    """One process on SQLite; two on MongoDB and Redis."""
    if request.param == "sqlite":
        return service({})
    return service(request.getfixturevalue("on_mongodb_and_redis"), processes=2)


async def test_an_erased_user_is_disconnected_and_gone_and_the_others_go_on(stage: Stage) -> None:
    alice_id, bob_id = new_id(), new_id()
    await stage.rest("PUT", f"/api/users/{alice_id}", {"name": "Alice"})
    group = await stage.group(alice_id, bob_id)
    alice = await stage.messaging(alice_id, process=len(stage.servers) - 1)
    bob = await stage.messaging(bob_id)
    await join(bob, group)
    await say(alice, group, "mine")
    theirs = await stage.post(bob_id, group, "theirs")
    await stage.rest("PUT", f"/api/messages/{theirs['id']}/reactions/👍", user=alice_id)
    upload = await uploaded(stage, alice_id, b"a note")
    await stage.post(alice_id, group, "", attachments=[{"url": upload["url"]}])
    assert (await stage.rest("GET", upload["url"], user=bob_id)).status == 200
    answer = await stage.rest("DELETE", f"/api/users/{alice_id}?messages=delete")
    assert (answer.status, answer.body) == (200, {"success": True})
    await alice.wait_for("disconnect")
    assert (await stage.rest("GET", "/api/conversations", user=alice_id)).status == 401
    assert (await stage.rest("GET", f"/api/users/{alice_id}")).status == 404

    async def is_alone() -> bool:
        there = (await stage.rest("GET", f"/api/conversations/{group}", user=bob_id)).body["conversation"]
        return [member["id"] for member in there["members"]] == [bob_id]

    await eventually(is_alone)

    async def is_deleted() -> bool:
        found = {message["content"] for message in await stage.stored(group, bob_id)}
        return found == {"", "theirs"}

    await eventually(is_deleted)

    async def is_gone() -> bool:
        return (await stage.rest("GET", upload["url"])).status == 404

    await eventually(is_gone)
    (theirs,) = [each for each in await stage.stored(group, bob_id) if each["content"]]
    assert theirs["reactions"] == []
    await bob.wait_for("reaction-updated", where=lambda seen: seen.data["reactions"] == [])
    assert (await say(bob, group, "still here"))["seq"] == 4


async def exported(stage: Stage, user: str) -> dict[str, list[Json]]:
    """All that is kept of a user, by kind."""
    answer = await stage.rest("GET", f"/api/users/{user}/export", user=user)
    assert answer.status == 200
    found: dict[str, list[Json]] = {}
    for line in answer.body.splitlines():
        record = json.loads(line)
        found.setdefault(record["kind"], []).append(record["data"])
    return found


async def test_an_export_has_what_a_user_did_and_set_and_sent(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    await stage.rest("PUT", f"/api/users/{alice}", {"name": "Alice", "email": "a@example.com"})
    group = await stage.group(alice, bob)
    mine = await stage.post(alice, group, "mine")
    theirs = await stage.post(bob, group, "not nice")
    await stage.rest("PUT", f"/api/messages/{theirs['id']}/reactions/👎", user=alice)
    await stage.rest("PUT", f"/api/messages/{mine['id']}/reactions/👍", user=bob)
    await stage.rest("POST", f"/api/messages/{theirs['id']}/report", {"reason": "rude"}, user=alice)
    await stage.rest("PUT", f"/api/blocks/{bob}", user=alice)
    await stage.rest("POST", f"/api/conversations/{group}/mute", user=alice)
    upload = await uploaded(stage, alice, b"a note")
    found = await exported(stage, alice)
    assert (found["profile"][0]["name"], found["profile"][0]["email"]) == ("Alice", "a@example.com")
    assert [each["content"] for each in found["messages"]] == ["mine"]
    place = {"conversationId": group, "messageId": theirs["id"]}
    assert found["reactions"] == [{**place, "emoji": "👎"}]
    (report,) = found["reports"]
    assert (report["messageId"], report["reason"]) == (theirs["id"], "rude")
    assert [each["blockedId"] for each in found["blocks"]] == [bob]
    assert [each["muted"] for each in found["memberships"]] == [True]
    (file,) = found["uploads"]
    assert (file["url"], file["fileName"], file["fileSize"]) == (upload["url"], "a.txt", 6)
    assert (await stage.rest("GET", file["url"], user=alice)).body == "a note"


async def uploaded(stage: Stage, user: str, data: bytes) -> Json:
    form = aiohttp.FormData()
    form.add_field("file", data, filename="a.txt")
    url = stage.servers[0].url + "/api/uploads"
    headers = {"Authorization": f"Bearer {token(user)}"}
    async with stage.http.post(url, data=form, headers=headers) as answer:
        assert answer.status == 201
        return (await answer.json())["upload"]
