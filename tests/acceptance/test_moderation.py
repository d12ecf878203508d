"""Users who have nothing to do with one another, and messages that are reported, on all five protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import SERVICE, Json, Stage, call, eventually, new_id, refused
from tests.clients import NodeClient
from tests.servers import ServerProcess
from tests.websockets import Socket


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production; carol administers it."""
    if request.param == "SQLite":
        return service({"ADMIN_ROLES": "moderator"})
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service({**production, "ADMIN_ROLES": "moderator"}, 2)


def direct(*users: str) -> str:
    return "dm:" + ":".join(sorted(users))


async def block(stage: Stage, user: str, other: str, *, method: str = "PUT") -> None:
    answer = await stage.rest(method, f"/api/blocks/{other}", user=user)
    assert answer.status in (200, 201), answer


Refuses = Callable[[], Awaitable[str]]


async def ways(sockets: Sockets, user: str, other: str) -> dict[str, Refuses]:
    """How a user tries to write to another one, on each protocol and by REST; the code of the refusal."""
    stage, where, last = sockets.stage, direct(user, other), len(sockets.stage.servers) - 1
    messaging, chat = await stage.messaging(user, process=last), await stage.chat(user, process=last)
    ws_chat = await sockets.ws_chat(user, process=last)
    unified, rooms = await sockets.unified(user, process=last), await sockets.rooms(user, process=last)

    async def by_messaging() -> str:
        return str((await refused(messaging, "send-message", conversationId=where, content="x"))["code"])

    async def by_chat() -> str:
        return str((await refused(chat, "message:send", conversationId=where, content="x"))["code"])

    async def by_ws_chat() -> str:
        return str((await ws_chat.refused("direct_message", to_user_id=other, content="x"))["code"])

    async def by_unified() -> str:
        said = await unified.refused("chat_message", meta={"target_id": other}, content="x")
        return str(said["code"])

    async def by_rooms() -> str:
        return str((await rooms.refused("dm", to=other, content="x"))["code"])

    async def by_rest() -> str:
        path = f"/api/conversations/{quote(where, safe='')}/messages"
        answer = await stage.rest("POST", path, {"content": "x"}, user=user, process=last)
        assert answer.status == 403
        return answer.code

    return {
        "messaging": by_messaging,
        "chat": by_chat,
        "ws-chat": by_ws_chat,
        "unified": by_unified,
        "rooms": by_rooms,
        "REST": by_rest,
    }


async def test_neither_writes_to_the_other_on_any_protocol(sockets: Sockets) -> None:
    stage, alice, bob = sockets.stage, new_id(), new_id()
    for user in (alice, bob):
        await stage.rest("PUT", f"/api/users/{user}", {})
    await stage.post(alice, direct(alice, bob), "hello")
    await block(stage, alice, bob)
    for user, other in ((alice, bob), (bob, alice)):
        for name, attempt in (await ways(sockets, user, other)).items():
            assert await attempt() == "PERMISSION_DENIED", name
    stored = await stage.stored(direct(alice, bob), bob)
    assert [message["content"] for message in stored] == ["hello"]
    await block(stage, alice, bob, method="DELETE")
    assert (await stage.post(bob, direct(alice, bob), "again"))["seq"] == 2


async def test_neither_sees_the_other_come_go_or_type(sockets: Sockets) -> None:
    stage, alice, bob = sockets.stage, new_id(), new_id()
    last = len(stage.servers) - 1
    hers = await stage.messaging(alice)
    chat = await stage.chat(alice, process=last)
    ws_chat, unified = await sockets.ws_chat(alice), await sockets.unified(alice, process=last)
    rooms = await sockets.rooms(alice)
    his = await stage.messaging(bob, process=last)
    await call(his, "send-message", conversationId=direct(alice, bob), content="hello")
    await call(hers, "join-conversation", conversationId=direct(alice, bob))
    await call(chat, "conversation:join", conversationId=direct(alice, bob))

    def seen() -> dict[str, list[Json]]:
        """As what each of alice's connections was last told that bob is."""
        return {
            "messaging": _last(hers, ("user-online", "user-offline"), bob),
            "chat": _last(chat, ("user:online", "user:offline"), bob),
            "ws-chat": [each["status"] for each in ws_chat.all("status") if str(each["user_id"]) == bob],
            "unified": [
                each["status"] for each in unified.all("status_update") if str(each["user_id"]) == bob
            ],
            "rooms": [each["online"] for each in rooms.all("status") if each["user"] == bob],
        }

    await block(stage, alice, bob)
    gone = {"user-offline", "user:offline", "offline", False}
    await eventually(lambda: _true(all(told and told[-1] in gone for told in seen().values())))
    before = {name: len(told) for name, told in seen().items()}
    typing = len(_typing(hers, chat, ws_chat, unified))
    await call(his, "set-status", status="away")
    await his.emit_with_ack("user-typing", {"conversationId": direct(alice, bob)})
    status = await stage.rest("GET", f"/api/users/{bob}/status", user=alice)
    assert (status.body["status"], status.body["lastSeen"]) == ("offline", None)
    await asyncio.sleep(1.0)
    assert {name: len(told) for name, told in seen().items()} == before
    assert len(_typing(hers, chat, ws_chat, unified)) == typing
    await block(stage, alice, bob, method="DELETE")
    await eventually(lambda: _true(all(len(told) > before[name] for name, told in seen().items())))
    assert seen()["unified"][-1] == "away"


def _last(client: NodeClient, names: tuple[str, str], user: str) -> list[Json]:
    return [seen.name for seen in client.events() if seen.name in names and str(seen.data["userId"]) == user]


def _typing(hers: NodeClient, chat: NodeClient, ws_chat: Socket, unified: Socket) -> list[Json]:
    told = [*hers.events("user-typing"), *chat.events("user:typing")]
    return [*told, *ws_chat.all("typing"), *unified.all("typing_indicator")]


async def _true(condition: bool) -> bool:
    return condition


async def test_neither_invites_the_other(sockets: Sockets) -> None:
    stage, alice, bob = sockets.stage, new_id(), new_id()
    group = await stage.group(alice)
    await stage.rest("PUT", f"/api/users/{bob}", {})
    await block(stage, bob, alice)
    socket = await sockets.unified(alice, process=len(stage.servers) - 1)
    invitation = {"type": "group_invite", "group_id": group}
    said = await socket.refused("notification", meta={"target_id": bob}, **invitation)
    assert said["code"] == "PERMISSION_DENIED"
    made = await stage.rest("POST", "/api/conversations", {"kind": "group", "memberIds": [bob]}, user=alice)
    assert (made.status, made.code) == (403, "PERMISSION_DENIED")


async def test_blocks_are_listed(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    await stage.rest("PUT", f"/api/users/{bob}", {"firstName": "Bob"})
    first = await stage.rest("PUT", f"/api/blocks/{bob}", user=alice)
    again = await stage.rest("PUT", f"/api/blocks/{bob}", user=alice)
    assert (first.status, again.status, first.body) == (201, 200, again.body)
    listed = await stage.rest("GET", "/api/blocks", user=alice, process=len(stage.servers) - 1)
    (shown,) = listed.body["blocks"]
    assert (shown["userId"], shown["user"]["firstName"]) == (bob, "Bob")
    assert (await stage.rest("GET", "/api/blocks", user=bob)).body["blocks"] == []


async def test_a_report_reaches_those_who_administer(stage: Stage) -> None:
    alice, bob, carol = new_id(), new_id(), new_id()
    group = await stage.group(alice, bob, carol)
    message = await stage.post(bob, group, "spam, spam")
    path = f"/api/messages/{message['id']}/report"
    made = await stage.rest("POST", path, {"reason": "It is\nspam"}, user=alice)
    again = await stage.rest("POST", path, {"reason": "other"}, user=alice)
    assert (made.status, again.status, made.body) == (201, 200, again.body)
    await stage.rest("POST", path, user=carol, process=len(stage.servers) - 1)
    first = await stage.rest("GET", "/api/admin/reports?limit=1")
    rest = await stage.rest("GET", f"/api/admin/reports?limit=1&next={first.body['next']}")
    (newer,), (older,) = first.body["reports"], rest.body["reports"]
    assert (newer["reporter"]["id"], older["reporter"]["id"]) == (carol, alice)
    assert (older["reason"], older["message"]["content"]) == ("It is\nspam", "spam, spam")
    assert older["message"]["sender"]["id"] == bob
    assert "reason" not in newer
    assert (await stage.rest("GET", "/api/admin/reports", user=alice)).status == 403
    assert (await stage.rest("GET", "/api/admin/reports", user=SERVICE)).status == 200
