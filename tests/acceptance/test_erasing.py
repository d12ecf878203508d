"""Erasing over HTTP, while the user is connected: on SQLite, and on MongoDB in two processes."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import Stage, eventually, join, new_id, say
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
    kept = await stage.rest("GET", f"/api/users/{alice_id}/export", user=alice_id)
    kinds = {json.loads(line)["kind"] for line in kept.body.splitlines()}
    assert {"profile", "memberships", "messages"} <= kinds
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
        return all(message["content"] == "" for message in await stage.stored(group, bob_id))

    await eventually(is_deleted)
    assert (await say(bob, group, "still here"))["seq"] == 2
