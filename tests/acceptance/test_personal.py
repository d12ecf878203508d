"""What concerns one user alone, on all protocols: notifications, and what conversations are to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import Json, Stage, eventually, new_id
from tests.clients import NodeClient
from tests.servers import ServerProcess
from tests.websockets import Socket

Told = Callable[[], list[Json]]
"""The notifications that a client has heard so far, as its protocol tells them."""


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production."""
    if request.param == "SQLite":
        return service({})
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service(production, 2)


async def true(condition: bool) -> bool:
    return condition


def of(client: NodeClient | Socket) -> Told:
    """What a client was notified of."""
    if isinstance(client, NodeClient):
        return lambda: [seen.data for seen in client.events("notification")]
    return lambda: client.all("notification")


async def on_all_protocols(sockets: Sockets, user: str) -> dict[str, Told]:
    """The user on each protocol, on the last process; what each of them was notified of."""
    stage = sockets.stage
    there = len(stage.servers) - 1
    return {
        "messaging": of(await stage.messaging(user, process=there)),
        "chat": of(await stage.chat(user, process=there)),
        "ws-chat": of(await sockets.ws_chat(user, process=there)),
        "unified": of(await sockets.unified(user, process=there)),
        "rooms": of(await sockets.rooms(user, process=there)),
    }


async def notify(stage: Stage, user: str, kind: str, **more: Json) -> Json:
    answer = await stage.rest("POST", "/api/notifications", {"userId": user, "type": kind, **more})
    assert answer.status == 201, answer
    return answer.body["notification"]


async def listed(stage: Stage, user: str, query: str = "") -> Json:
    process = len(stage.servers) - 1
    answer = await stage.rest("GET", f"/api/notifications{query}", user=user, process=process)
    assert answer.status == 200, answer
    return answer.body


async def test_a_service_notifies_a_user_on_all_five_protocols(sockets: Sockets) -> None:
    user = new_id()
    heard = await on_all_protocols(sockets, user)
    data = {"booking": 7, "with": ["Zoé"]}
    made = await notify(sockets.stage, user, "booking", title="Tomorrow", body="at ten", data=data)
    for name, told in heard.items():
        await eventually(lambda told=told: true(len(told()) == 1))  # type: ignore[misc]
        (note,) = told()
        assert str(note["id"]) == made["id"], name
        assert note["kind" if name == "rooms" else "type"] == "booking", name
        assert (note["title"], note["body"], note["data"]) == ("Tomorrow", "at ten", data), name
        assert note.get("createdAt", note.get("created_at")) == made["createdAt"], name
    assert (await listed(sockets.stage, user))["notifications"] == [made]


async def test_being_added_and_being_invited_notifies_on_all_five_protocols(sockets: Sockets) -> None:
    stage, user, friend = sockets.stage, new_id(), new_id()
    group = await stage.group(friend)
    heard = await on_all_protocols(sockets, user)
    added = await stage.rest("PUT", f"/api/conversations/{group}/members/{user}", {})
    assert added.status == 201, added
    invited = await stage.group(friend)
    socket = await sockets.unified(friend)
    meta = {"target_id": user}
    await socket.do("notification", meta=meta, type="group_invite", group_id=invited)
    for name, told in heard.items():
        await eventually(lambda told=told: true(len(told()) == 2))  # type: ignore[misc]
        kinds = [note["kind" if name == "rooms" else "type"] for note in told()]
        assert kinds == ["group_added", "group_invite"], name
        assert told()[0]["data"] == {"group_id": group}, name
        assert told()[1]["data"] == {"group_id": invited, "from": friend}, name


async def test_what_came_while_away_is_in_the_list_and_on_ws_replayed(sockets: Sockets) -> None:
    stage, user = sockets.stage, new_id()
    first = await sockets.unified(user, client_id="desk")
    await notify(stage, user, "seen")
    await first.hears("notification", type="seen")
    await first.settled()
    await first.close()
    for kind in ("a", "b"):
        await notify(stage, user, kind)
    again = await sockets.unified(user, client_id="desk", process=len(stage.servers) - 1)
    kinds = again.all("notification", "type")
    assert kinds[-2:] == ["a", "b"]
    assert kinds in (["a", "b"], ["seen", "a", "b"])  # a repeat is possible, a loss is not
    assert again.all("connection_event")[-1]["count"] == len(kinds)
    found = await listed(stage, user, "?limit=2")
    assert [note["type"] for note in found["notifications"]] == ["b", "a"]
    rest = await listed(stage, user, f"?limit=2&next={found['next']}")
    assert ([note["type"] for note in rest["notifications"]], rest["next"]) == (["seen"], None)


async def test_marked_ones_are_read_on_all_processes(stage: Stage) -> None:
    user = new_id()
    notes = [await notify(stage, user, kind) for kind in ("a", "b", "c")]
    marked = await stage.rest("POST", "/api/notifications/read", {"ids": [notes[1]["id"]]}, user=user)
    assert marked.body == {"success": True, "unread": 2}
    unread = await listed(stage, user, "?unread=true")
    assert [note["type"] for note in unread["notifications"]] == ["c", "a"]
    assert (await listed(stage, user))["notifications"][1]["readAt"]
    assert (await stage.rest("POST", "/api/notifications/read", {"all": True}, user=user)).body["unread"] == 0


async def test_a_notification_under_the_services_own_id_is_told_once(sockets: Sockets) -> None:
    stage, user = sockets.stage, new_id()
    heard = await on_all_protocols(sockets, user)
    statuses = []
    for process in (0, len(stage.servers) - 1):
        body = {"userId": user, "type": "booking", "id": "b-7"}
        statuses.append((await stage.rest("POST", "/api/notifications", body, process=process)).status)
    await notify(stage, user, "end")
    assert statuses == [201, 200]
    for name, told in heard.items():
        await eventually(lambda told=told: true(len(told()) == 2))  # type: ignore[misc]
        assert [note["kind" if name == "rooms" else "type"] for note in told()] == ["booking", "end"], name


# --- places --------------------------------------------------------------------------------------------


async def do(stage: Stage, user: str, conversation: str, word: str) -> Json:
    answer = await stage.rest("POST", f"/api/conversations/{conversation}/{word}", user=user)
    assert answer.status == 200, answer
    return answer.body["conversation"]


async def updated(client: NodeClient, conversation: str, **expected: Any) -> Json:
    """The first update of the conversation that says this."""
    seen = await client.wait_for(
        "conversation-updated",
        where=lambda seen: seen.data["id"] == conversation and seen.data.items() >= expected.items(),
    )
    return seen.data


async def totals(client: NodeClient, total: int) -> None:
    """Wait until this is the total that the client was told last."""

    async def told() -> bool:
        return [seen.data["totalUnread"] for seen in client.events("unread-count-updated")][-1:] == [total]

    await eventually(told)


async def test_archiving_and_muting_reach_the_users_other_devices(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    phone = await stage.messaging(bob, process=len(stage.servers) - 1)
    hers = await stage.messaging(alice)
    await stage.post(alice, group, "one")
    await totals(phone, 1)
    assert (await do(stage, bob, group, "mute"))["muted"]
    assert (await updated(phone, group, muted=True))["unread"] == 1
    await totals(phone, 0)
    assert (await do(stage, bob, group, "archive"))["archived"]
    await updated(phone, group, archived=True, muted=True)
    there = await stage.rest("GET", "/api/conversations?archived=true", user=bob)
    assert [each["id"] for each in there.body["conversations"]] == [group]
    await stage.post(alice, group, "two")
    still = await stage.rest("GET", "/api/conversations?archived=true", user=bob)
    assert [each["id"] for each in still.body["conversations"]] == [group]
    await do(stage, bob, group, "unmute")
    await updated(phone, group, archived=False, muted=False)
    await totals(phone, 2)
    assert not [seen for seen in hers.events("conversation-updated") if seen.data.get("archived")]


async def test_a_message_brings_an_archived_conversation_back_on_all_devices(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    phone = await stage.messaging(bob, process=len(stage.servers) - 1)
    await do(stage, bob, group, "archive")
    await updated(phone, group, archived=True)
    await stage.post(alice, group, "hello")
    await updated(phone, group, archived=False, lastSeq=1)


async def test_marking_unread_counts_until_something_is_marked_read(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    phone = await stage.messaging(bob, process=len(stage.servers) - 1)
    await stage.post(alice, group, "hello")
    read = {"conversationId": group}
    await stage.rest("POST", "/api/messages/read", read, user=bob)
    await totals(phone, 0)
    marked = await do(stage, bob, group, "unread")
    assert (marked["unread"], marked["markedUnread"]) == (1, True)
    await totals(phone, 1)
    answer = await phone.emit_with_ack("mark-conversation-as-read", read)
    assert answer["success"]
    await totals(phone, 0)
    found = await stage.rest("GET", f"/api/conversations/{group}", user=bob)
    assert "markedUnread" not in found.body["conversation"]
