"""Edits, deletions, reactions and deliveries reach people on all protocols, and those who come back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import UPGRADE, Json, Stage, call, eventually, join, new_id, refused, say
from tests.acceptance.test_five_protocols import NAMES, Person, everybody, person
from tests.clients import NodeClient
from tests.servers import ServerProcess

Told = tuple[str, str, str]
"""What happened, to which message, and by which words or emoji."""
WORDS = {
    "messaging": ("edit-message", "delete-message", "add-reaction", "remove-reaction"),
    "chat": ("message:edit", "message:delete", "message:react", "message:unreact"),
}


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production."""
    if request.param == "SQLite":
        return service({})
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service(production, 2)


# --- asking, in each protocol's own way ------------------------------------------------------------------


async def edit(who: Person, message: str, content: str) -> None:
    match who.name, who.client, who.socket:
        case ("messaging" | "chat") as name, NodeClient() as client, _:
            await call(client, WORDS[name][0], messageId=message, content=content)
        case "ws-chat", _, socket if socket:
            await socket.do("edit_message", message_id=message, content=content)
        case "unified", _, socket if socket:
            await socket.do("message_edit", message_id=message, content=content)
        case _:
            path = f"/api/messages/{message}"
            assert (await who.stage.rest("PATCH", path, {"content": content}, user=who.user)).status == 200


async def delete(who: Person, message: str) -> None:
    match who.name, who.client, who.socket:
        case ("messaging" | "chat") as name, NodeClient() as client, _:
            await call(client, WORDS[name][1], messageId=message)
        case "ws-chat", _, socket if socket:
            await socket.do("delete_message", message_id=message)
        case "unified", _, socket if socket:
            await socket.do("message_delete", message_id=message)
        case _:
            assert (await who.stage.rest("DELETE", f"/api/messages/{message}", user=who.user)).status == 200


async def react(who: Person, place: str, message: str, emoji: str) -> None:
    match who.name, who.client, who.socket:
        case ("messaging" | "chat") as name, NodeClient() as client, _:
            await call(client, WORDS[name][2], messageId=message, emoji=emoji)
        case "ws-chat", _, socket if socket:
            put = {"message_type": "reaction", "content": emoji, "reply_to": message}
            await socket.do("room_message", room=place, **put)
        case "unified", _, socket if socket:
            await socket.do("message_react", message_id=message, emoji=emoji)
        case _:
            path = f"/api/messages/{message}/reactions/{quote(emoji)}"
            assert (await who.stage.rest("PUT", path, user=who.user)).status == 200


async def unreact(who: Person, message: str, emoji: str) -> None:
    match who.name, who.client, who.socket:
        case ("messaging" | "chat") as name, NodeClient() as client, _:
            await call(client, WORDS[name][3], messageId=message, emoji=emoji)
        case "ws-chat", _, socket if socket:
            await socket.do("reaction_removed", message_id=message, content=emoji)
        case "unified", _, socket if socket:
            await socket.do("message_react", message_id=message, emoji=emoji, remove=True)
        case _:
            path = f"/api/messages/{message}/reactions/{quote(emoji)}"
            assert (await who.stage.rest("DELETE", path, user=who.user)).status == 200


# --- what was heard --------------------------------------------------------------------------------------


def told(who: Person) -> list[Told]:
    """All changes that somebody was told, in their order, as everybody can compare them: of reactions only
    that there was one."""
    if who.client is not None:
        return [each for seen in who.client.seen if (each := _of_camel(seen.name, seen.data)) is not None]
    assert who.socket is not None
    frames = [(frame["type"], who.socket.protocol.content(frame)) for frame in who.socket.frames]
    return [each for name, body in frames if (each := _of_snake(name, body)) is not None]


def _of_camel(name: str, data: Json) -> Told | None:
    match name:
        case "message-edited" | "message:edited":
            return "edited", str(data["id"]), data["content"]
        case "message-deleted" | "message:deleted":
            return "deleted", str(data["messageId"]), ""
        case "reaction-updated" | "message:reaction":
            return "reaction", str(data["messageId"]), ""
        case _:
            return None


def _of_snake(name: str, body: Json) -> Told | None:
    message = str(body.get("message_id", body.get("id")))
    match name:
        case "message_edited":
            return "edited", message, body["content"]
        case "message_deleted":
            return "deleted", message, ""
        case "message_reaction" | "reaction" | "reaction_removed":
            return "reaction", message, ""
        case "room_message" | "direct_message" if body["message_type"] == "reaction":
            return "reaction", message, ""
        case _:
            return None


async def all_told(people: list[Person], expected: list[Told]) -> None:
    """Each has been told these changes, each once and in this order, and no others."""
    await eventually(lambda: _true(all(len(told(each)) >= len(expected) for each in people)), 20)
    for each in people:
        assert told(each) == expected, each.name


async def _true(value: bool) -> bool:
    return value


def lasting(message: Json) -> Json:
    """A message as REST shows it, without what depends on who read it when."""
    return {key: value for key, value in message.items() if key not in ("isRead", "readAt")}


async def the_same_for_all(stage: Stage, group: str, users: list[str]) -> list[Json]:
    """What is stored, which every process gives alike."""
    given = [
        [lasting(m) for m in await stage.stored(group, user, process=number % len(stage.servers))]
        for number, user in enumerate(users)
    ]
    assert all(each == given[0] for each in given)
    return given[0]


# --- the tests -------------------------------------------------------------------------------------------


async def test_whoever_changes_a_message_all_five_protocols_hear_it_once_and_in_order(
    sockets: Sockets,
) -> None:
    users = [new_id() for _ in NAMES]
    group = await sockets.stage.group(*users)
    people = await everybody(sockets, *users)
    for each in people:
        await each.enter(group)
    for each in people:
        await each.say(group, f"from {each.name}")
    await eventually(lambda: _true(all(len(each.heard()) == len(NAMES) for each in people)))
    ids = {heard.sender: heard.id for heard in people[0].heard()}
    expected: list[Told] = []
    for each, other in zip(people, [*people[1:], people[0]], strict=True):
        own, theirs = ids[each.user], ids[other.user]
        steps: list[tuple[Awaitable[None], Told]] = [
            (edit(each, own, f"edited by {each.name}"), ("edited", own, f"edited by {each.name}")),
            (react(each, group, theirs, "👍"), ("reaction", theirs, "")),
            (react(each, group, theirs, "🎉"), ("reaction", theirs, "")),
            (unreact(each, theirs, "👍"), ("reaction", theirs, "")),
        ]
        for step, change in steps:
            await step
            expected.append(change)
            await all_told(people, expected)
    for each in people:
        await delete(each, ids[each.user])
        expected.append(("deleted", ids[each.user], ""))
        await all_told(people, expected)
    for stored in await the_same_for_all(sockets.stage, group, users):
        assert (stored["content"], stored["reactions"], stored["attachments"]) == ("", [], [])
        assert stored["deletedAt"]


async def test_at_once_all_five_react_and_all_agree(sockets: Sockets) -> None:
    users = [new_id() for _ in NAMES]
    group = await sockets.stage.group(*users)
    people = await everybody(sockets, *users)
    for each in people:
        await each.enter(group)
    message = (await sockets.stage.post(users[0], group, "vote"))["id"]
    await eventually(lambda: _true(all(len(each.heard()) == 1 for each in people)))
    for emoji in ("👍", "🎉", "❤️"):
        for each in people:
            await react(each, group, message, emoji)
    await eventually(lambda: _true(all(len(told(each)) == 15 for each in people)), 20)
    (stored,) = await the_same_for_all(sockets.stage, group, users)
    assert [(kind["emoji"], set(kind["userIds"])) for kind in stored["reactions"]] == [
        (emoji, set(users)) for emoji in ("👍", "🎉", "❤️")
    ]
    client = people[0].client
    assert client is not None
    assert client.events("reaction-updated")[-1].data["reactions"] == stored["reactions"]


async def test_who_was_away_hears_on_coming_back_what_became_of_what_they_had(sockets: Sockets) -> None:
    stage, alice, bob = sockets.stage, new_id(), new_id()
    group = await stage.group(alice, bob)
    desk = await sockets.unified(bob, client_id="desk", process=-1)
    ids = [(await stage.post(alice, group, str(number)))["id"] for number in range(3)]
    await desk.hears("group_message", content="2")
    await desk.settled()
    await desk.close()
    author = await person(sockets, "messaging", alice, 0)
    await edit(author, ids[0], "other")
    await react(author, group, ids[1], "👍")
    await unreact(author, ids[1], "👍")
    await delete(author, ids[2])
    late = (await stage.post(alice, group, "late"))["id"]
    await edit(author, late, "later")
    backs = [await person(sockets, name, bob, 1) for name in ("messaging", "ws-chat", "rooms")]
    for back in backs:
        if back.client is not None:
            await call(back.client, "join-conversation", conversationId=group, after=3)
        elif back.socket is not None:
            await back.socket.do("join_room" if back.name == "ws-chat" else "join", room=group, after=3)
    expected = [("edited", ids[0], "other"), ("reaction", ids[1], ""), ("deleted", ids[2], "")]
    await all_told(backs, expected)
    again = await sockets.unified(bob, client_id="desk", process=-1)
    device = Person(name="unified", user=bob, stage=stage, socket=again)
    known = [each for each in told(device) if each in expected]
    assert known == expected  # a repeat is possible, a loss is not
    assert "later" in again.all("group_message", "content")


async def test_what_a_message_said_before_is_for_its_author_and_admins(sockets: Sockets) -> None:
    stage, alice, bob = sockets.stage, new_id(), new_id()
    group = await stage.group(alice, bob)
    client = await stage.messaging(alice)
    message = (await say(client, group, "first"))["id"]
    await call(client, "edit-message", messageId=message, content="second")
    path = f"/api/messages/{message}/edits"
    edits = (await stage.rest("GET", path, user=alice)).body["edits"]
    assert [(each["content"], each["editedBy"]) for each in edits] == [("first", alice)]
    assert (await stage.rest("GET", path)).body["edits"] == edits
    assert (await stage.rest("GET", path, user=bob)).code == "PERMISSION_DENIED"
    assert (await stage.rest("GET", path, user=new_id())).code == "MESSAGE_NOT_FOUND"
    other = await stage.messaging(bob)
    answer = await refused(other, "edit-message", messageId=message, content="mine")
    assert (answer["code"], answer["details"]) == ("PERMISSION_DENIED", {"messageId": message})
    assert (await refused(other, "add-reaction", messageId=message, emoji="no"))["code"] == "INVALID_FORMAT"


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), UPGRADE])
async def test_authors_learn_whom_their_messages_have_reached(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    hers = await stage.messaging(alice)
    await join(hers, group)
    sent = await say(hers, group, "on its way")
    path = f"/api/messages/{sent['id']}/receipts"
    nobody: dict[str, Any] = {"userId": bob, "delivered": False, "read": False}
    assert (await stage.rest("GET", path, user=alice)).body == {"receipts": [nobody], "next": None}
    his = await stage.messaging(bob, process=-1, transports=list(transports))
    await join(his, group)
    told_ = (await hers.wait_for("message-delivered", timeout=20)).data
    assert (told_["messageId"], told_["userId"], told_["seq"]) == (sent["id"], bob, 1)
    second = await say(hers, group, "live")
    told_ = (
        await hers.wait_for("message-delivered", where=lambda seen: seen.data["seq"] == 2, timeout=20)
    ).data
    assert told_["messageId"] == second["id"]
    assert his.events("message-delivered") == []
    await call(his, "mark-as-read", messageId=sent["id"])
    assert (await stage.rest("GET", path, user=alice)).body["receipts"] == [
        nobody | {"delivered": True, "read": True}
    ]
