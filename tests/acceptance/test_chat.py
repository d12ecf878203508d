"""The namespace `/chat` as its clients meet it: numbers as ids, on MongoDB and Redis."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import TRANSPORTS, UPGRADE, Stage, call, new_id, refused, say
from tests.clients import Json, NodeClient
from tests.servers import ServerProcess

ON_ALL_TRANSPORTS = pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)


@pytest.fixture(scope="module")
def servers(service: Service, on_mongodb_and_redis: dict[str, str]) -> tuple[ServerProcess, ...]:
    """One process, as in production."""
    return service(on_mongodb_and_redis)


async def pair(stage: Stage, **options: Json) -> tuple[NodeClient, NodeClient, int, tuple[str, str]]:
    """Alice and Bob in their group, which both have joined; its id; theirs."""
    names = (new_id(), new_id())
    group = int(await stage.group(*names))
    alice, bob = [await stage.chat(name, **options) for name in names]
    for client in (alice, bob):
        await call(client, "conversation:join", conversationId=group)
    return alice, bob, group, names


async def hears(client: NodeClient, content: str) -> Json:
    """The data of `message:new` with this content."""
    where = lambda seen: seen.data["message"]["content"] == content  # noqa: E731
    return (await client.wait_for("message:new", where=where)).data


@ON_ALL_TRANSPORTS
async def test_a_message_reaches_everybody_with_numbers_as_ids(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    alice, bob, group, (alice_id, _) = await pair(stage, transports=transports)
    if transports == UPGRADE:
        await alice.wait_for("upgrade")
    attachments = ["https://example.com/document.pdf"]
    ack = await call(alice, "message:send", conversationId=group, content="Bonjour", attachments=attachments)
    for client in (alice, bob):
        heard = await hears(client, "Bonjour")
        assert heard == {"message": ack["message"], "timestamp": ack["message"]["sentAt"]}
    expected = {"conversationId": group, "senderId": int(alice_id), "seq": 1, "attachments": attachments}
    assert ack["message"].items() >= expected.items()
    assert isinstance(ack["message"]["id"], int)
    assert ack["message"]["id"] < 2**53


@ON_ALL_TRANSPORTS
async def test_typing_and_reading_are_told_to_the_others(stage: Stage, transports: tuple[str, ...]) -> None:
    alice, bob, group, (alice_id, bob_id) = await pair(stage, transports=transports)
    for typing in (True, False):
        await alice.emit("message:typing", {"conversationId": group, "isTyping": typing})
        told = await bob.wait_for("user:typing", where=lambda seen, t=typing: seen.data["isTyping"] is t)  # type: ignore[misc]
        assert told.data == {"conversationId": group, "userId": int(alice_id), "isTyping": typing}
    sent = (await call(alice, "message:send", conversationId=group, content="read me"))["message"]
    await call(bob, "message:read", messageId=sent["id"])
    read = (await alice.wait_for("message:read:ack")).data
    told_read = {"messageId": sent["id"], "conversationId": group, "readBy": int(bob_id)}
    assert read == {**told_read, "readAt": read["readAt"]}
    assert not alice.events("user:typing")


async def test_online_users_are_numbers_and_coming_and_going_is_told(stage: Stage) -> None:
    alice, bob, group, names = await pair(stage)
    online = (await call(alice, "conversation:users:online", conversationId=group))["onlineUsers"]
    assert sorted(online) == sorted(map(int, names))
    assert (await alice.wait_for("user:online")).data == {"userId": int(names[1])}
    await bob.close()
    assert (await alice.wait_for("user:offline")).data == {"userId": int(names[1])}


async def test_history_is_asked_for_and_does_not_come_by_itself(stage: Stage) -> None:
    alice, _, group, (alice_id, _) = await pair(stage)
    for number in range(3):
        await stage.post(alice_id, str(group), f"no {number}")
    late = await stage.chat(alice_id)
    assert (await call(late, "conversation:join", conversationId=group))["lastSeq"] == 3
    page = await call(late, "conversation:history", conversationId=group, limit=2)
    assert [message["seq"] for message in page["messages"]] == [2, 3]
    assert page["hasMore"] is True
    page = await call(alice, "conversation:history", conversationId=group, before=2)
    assert [message["seq"] for message in page["messages"]] == [1]


async def test_ids_may_come_as_text_and_names_that_are_no_numbers_stay_text(stage: Stage) -> None:
    name = f"user-{new_id()}"
    group = await stage.group(name, id=f"salon-{new_id()}")
    client = await stage.chat(name)
    assert (await call(client, "conversation:join", conversationId=group))["conversationId"] == group
    sent = (await call(client, "message:send", conversationId=group, content="x"))["message"]
    assert (sent["conversationId"], sent["senderId"]) == (group, name)
    await call(client, "message:read", messageId=str(sent["id"]))


async def test_a_message_of_messaging_or_rest_reaches_chat(stage: Stage) -> None:
    alice, bob, group, (alice_id, _) = await pair(stage)
    await stage.post(alice_id, str(group), "by REST")
    assert (await hears(bob, "by REST"))["message"]["senderId"] == int(alice_id)
    other = await stage.messaging(alice_id)
    sent = await say(other, str(group), "in messaging", clientMessageId="m-1")
    heard = (await hears(alice, "in messaging"))["message"]
    assert (str(heard["id"]), heard["seq"], heard["clientMessageId"]) == (sent["id"], 2, "m-1")


async def test_what_is_wrong_is_acked_and_told_in_one_error(stage: Stage) -> None:
    alice, _, group, _ = await pair(stage)
    wrong: list[tuple[str, Json, str]] = [
        ("conversation:join", {"conversationId": 999_999_999}, "ROOM_NOT_FOUND"),
        ("message:send", {"conversationId": group, "content": ""}, "INVALID_FORMAT"),
        ("message:typing", {"conversationId": group}, "INVALID_FORMAT"),
        ("message:read", {"messageId": 1}, "MESSAGE_NOT_FOUND"),
        ("send-message", {"conversationId": group, "content": "x"}, "INVALID_FORMAT"),
    ]
    for command, payload, code in wrong:
        answer = await refused(alice, command, **payload)
        assert answer["code"] == code, (command, answer)
    await call(alice, "conversation:join", conversationId=group)
    assert [seen.data["code"] for seen in alice.events("error")] == [code for *_, code in wrong]
    first = alice.events("error")[0].data
    assert first["details"]["conversationId"] == 999_999_999


async def test_unread_counts_and_conversations_have_no_words_in_chat(stage: Stage) -> None:
    _, bob, group, (alice_id, _) = await pair(stage)
    await stage.rest("PATCH", f"/api/conversations/{group}", {"name": "Salon"})
    await stage.post(alice_id, str(group), "marker")
    await hears(bob, "marker")
    names = {seen.name for seen in bob.events()}
    assert names <= {"message:new", "user:online"}


async def test_who_was_removed_hears_and_may_do_nothing_more(stage: Stage) -> None:
    alice, bob, group, (_, bob_id) = await pair(stage)
    await stage.rest("DELETE", f"/api/conversations/{group}/members/{bob_id}")
    await call(alice, "message:send", conversationId=group, content="without Bob")
    answer = await refused(bob, "message:send", conversationId=group, content="x")
    assert answer["code"] == "ROOM_NOT_FOUND"
    assert not bob.events("message:new")
