"""The namespace `/messaging` as its clients meet it: the real program, real clients, both stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from tests.acceptance.conftest import Service
from tests.acceptance.stage import (
    TRANSPORTS,
    UPGRADE,
    Stage,
    call,
    contents,
    heard,
    join,
    new_id,
    refused,
    say,
    token,
)
from tests.clients import Json, NodeClient
from tests.servers import ServerProcess

ON_ALL_TRANSPORTS = pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process, on each of the stores."""
    on_mongodb = request.param == "mongodb"
    return service(request.getfixturevalue("on_mongodb_and_redis") if on_mongodb else {})


async def pair(stage: Stage, **options: Json) -> tuple[NodeClient, NodeClient, str]:
    """Alice and Bob in their group, which both have joined."""
    names = [new_id(), new_id()]
    group = await stage.group(*names)
    alice, bob = [await stage.messaging(name, **options) for name in names]
    for client in (alice, bob):
        await join(client, group)
    return alice, bob, group


# --- joining, sending, hearing -----------------------------------------------------------------------


@ON_ALL_TRANSPORTS
async def test_a_message_reaches_everybody_and_the_sender_too(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    alice, bob, group = await pair(stage, transports=transports)
    if transports == UPGRADE:
        assert (await alice.wait_for("upgrade")).fields["transport"] == "websocket"
    sent = await say(alice, group, "Bonjour!", clientMessageId="draft-1")
    assert await heard(bob, "Bonjour!") == sent
    assert await heard(alice, "Bonjour!") == sent
    assert sent.items() >= {"conversationId": group, "seq": 1, "type": "USER", "isRead": False}.items()
    assert sent["clientMessageId"] == "draft-1"
    assert isinstance(sent["id"], str)
    assert sent["sender"]["id"] == sent["senderId"]


async def test_the_ack_comes_before_the_event(stage: Stage) -> None:
    alice, _, group = await pair(stage)
    await say(alice, group, "x")
    await heard(alice, "x")
    kinds = [
        seen.name or seen.kind for seen in alice.seen if seen.kind == "ack" or seen.name == "new-message"
    ]
    assert kinds[-2:] == ["ack", "new-message"]


@ON_ALL_TRANSPORTS
async def test_joining_gives_the_last_messages_oldest_first(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    name = new_id()
    group = await stage.group(name)
    for number in range(1, 6):
        await stage.post(name, group, f"no {number}")
    client = await stage.messaging(name, transports=transports)
    ack = await join(client, group, limit=3)
    assert (ack["conversationId"], ack["lastSeq"]) == (group, 5)
    history = (await client.wait_for("conversation-history")).data
    assert [message["seq"] for message in history["messages"]] == [3, 4, 5]
    assert (history["conversationId"], history["hasMore"], history["lastSeq"]) == (group, True, 5)


@ON_ALL_TRANSPORTS
async def test_1200_missed_messages_come_in_events_of_at_most_500(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    name = new_id()
    group = await stage.group(name)
    writer = await stage.messaging(name)
    acks = [
        await writer.send_with_ack("send-message", {"conversationId": group, "content": str(number)})
        for number in range(1200)
    ]
    assert all(ack["success"] for ack in await asyncio.gather(*acks))
    client = await stage.messaging(name, transports=transports)
    assert (await join(client, group, after=0))["lastSeq"] == 1200
    await client.wait_for("conversation-history", where=lambda seen: not seen.data["hasMore"])
    pages = [seen.data["messages"] for seen in client.events("conversation-history")]
    assert max(map(len, pages)) <= 500
    assert [message["seq"] for page in pages for message in page] == list(range(1, 1201))


async def test_history_is_read_before_and_after_a_seq_but_not_both(stage: Stage) -> None:
    name = new_id()
    group = await stage.group(name)
    for number in range(1, 8):
        await stage.post(name, group, f"no {number}")
    client = await stage.messaging(name)

    async def seqs(**where: int) -> tuple[list[int], bool]:
        page = await call(client, "load-history", conversationId=group, limit=2, **where)
        return [message["seq"] for message in page["messages"]], page["hasMore"]

    assert await seqs() == ([6, 7], True)
    assert await seqs(before=3) == ([1, 2], False)
    assert await seqs(after=3) == ([4, 5], True)
    assert await seqs(after=5) == ([6, 7], False)
    answer = await refused(client, "load-history", conversationId=group, before=5, after=1)
    assert answer["code"] == "INVALID_FORMAT"


async def test_who_left_hears_nothing_more(stage: Stage) -> None:
    alice, bob, group = await pair(stage)
    await call(bob, "leave-conversation", conversationId=group)
    await say(alice, group, "without Bob")
    await join(bob, group, limit=1)
    await say(alice, group, "with Bob")
    await heard(bob, "with Bob")
    assert contents(bob) == ["with Bob"]


async def test_a_repeated_client_message_id_gives_the_first_message_to_its_sender_alone(
    stage: Stage,
) -> None:
    alice, bob, group = await pair(stage)
    first = await say(alice, group, "once", clientMessageId="d-1")
    again = await say(alice, group, "once more", clientMessageId="d-1")
    assert again == first
    await say(alice, group, "next")
    await heard(bob, "next")
    assert contents(bob) == ["once", "next"]


# --- typing, reading, unread -------------------------------------------------------------------------


@ON_ALL_TRANSPORTS
async def test_typing_goes_to_the_others_only(stage: Stage, transports: tuple[str, ...]) -> None:
    alice, bob, group = await pair(stage, transports=transports)
    await alice.emit("user-typing", {"conversationId": group})
    typing = (await bob.wait_for("user-typing")).data
    assert typing == {"conversationId": group, "userId": typing["userId"], "userName": typing["userId"]}
    await alice.emit("user-stopped-typing", {"conversationId": group})
    assert (await bob.wait_for("user-stopped-typing")).data["conversationId"] == group
    await say(bob, group, "marker")
    await heard(alice, "marker")
    assert not alice.events("user-typing") + alice.events("user-stopped-typing")


async def test_a_message_ends_typing_once(stage: Stage) -> None:
    alice, bob, group = await pair(stage)
    await alice.emit("user-typing", {"conversationId": group})
    await say(alice, group, "done")
    await alice.emit("user-stopped-typing", {"conversationId": group})
    await say(alice, group, "marker")
    await heard(bob, "marker")
    assert len(bob.events("user-stopped-typing")) == 1


@ON_ALL_TRANSPORTS
async def test_marking_read_is_told_to_the_conversation(stage: Stage, transports: tuple[str, ...]) -> None:
    alice, bob, group = await pair(stage, transports=transports)
    sent = await say(alice, group, "read me")
    await call(bob, "mark-as-read", messageId=sent["id"])
    read = (await alice.wait_for("message-read")).data
    assert (read["messageId"], read["conversationId"], read["seq"]) == (sent["id"], group, 1)
    assert read["readAt"].endswith("Z")
    page = await call(alice, "load-history", conversationId=group)
    assert page["messages"][0]["isRead"] is True
    assert page["messages"][0]["readAt"] == read["readAt"]


async def test_marking_a_conversation_read_tells_of_every_message_of_the_others(stage: Stage) -> None:
    alice, bob, group = await pair(stage)
    sent = [await say(alice, group, f"no {number}") for number in range(3)]
    await say(bob, group, "my own")
    await call(bob, "mark-conversation-as-read", conversationId=group)
    await alice.wait_for("message-read", where=lambda seen: seen.data["seq"] == 3)
    read = [seen.data["messageId"] for seen in alice.events("message-read")]
    assert read == [message["id"] for message in sent]


@ON_ALL_TRANSPORTS
async def test_unread_counts_come_on_connecting_and_on_every_change(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    await stage.post(alice, group, "one")
    client = await stage.messaging(bob, transports=transports)
    assert (await client.wait_for("unread-count-updated")).data["totalUnread"] == 1
    message = await stage.post(alice, group, "two")
    counted = await client.wait_for("unread-count-updated", where=lambda seen: seen.data["totalUnread"] == 2)
    assert counted.data == {"totalUnread": 2, "conversationId": group, "unread": 2}
    await call(client, "mark-as-read", messageId=message["id"])
    await client.wait_for("unread-count-updated", where=lambda seen: seen.data["totalUnread"] == 0)


async def test_two_devices_of_a_user_agree_on_what_is_read(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    group = await stage.group(alice, bob)
    phone, laptop = await stage.messaging(bob), await stage.messaging(bob, transports=["polling"])
    message = await stage.post(alice, group, "hello")
    for device in (phone, laptop):
        await device.wait_for("unread-count-updated", where=lambda seen: seen.data["totalUnread"] == 1)
    before = {device.name: len(device.seen) for device in (phone, laptop)}
    await call(phone, "mark-as-read", messageId=message["id"])
    for device in (phone, laptop):
        counted = await device.wait_for("unread-count-updated", since=before[device.name])
        assert counted.data["totalUnread"] == 0
        listed = await call(device, "list-conversations")
        assert (listed["totalUnread"], listed["conversations"][0]["unread"]) == (0, 0)


# --- conversations and people ------------------------------------------------------------------------


async def test_conversations_are_listed_with_the_last_message_and_what_is_unread(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    older, newer = await stage.group(alice, bob), await stage.group(alice, bob)
    await stage.post(alice, older, "old")
    await stage.post(alice, newer, "new")
    client = await stage.messaging(bob)
    first = await call(client, "list-conversations", limit=1)
    assert first["totalUnread"] == 2
    assert [shown["id"] for shown in first["conversations"]] == [newer]
    assert first["conversations"][0]["lastMessage"]["content"] == "new"
    assert first["conversations"][0]["memberRole"] == "member"
    assert {member["id"] for member in first["conversations"][0]["members"]} == {alice, bob}
    rest = await call(client, "list-conversations", limit=1, next=first["next"])
    assert [shown["id"] for shown in rest["conversations"]] == [older]
    assert rest["next"] is None


async def test_a_direct_conversation_that_begins_is_announced_and_can_be_joined(stage: Stage) -> None:
    alice, bob = sorted([new_id(), new_id()])
    her, him = await stage.messaging(alice), await stage.messaging(bob)
    direct = f"dm:{alice}:{bob}"
    sent = await say(her, direct, "just us")
    announced = (await him.wait_for("conversation-updated")).data
    assert (announced["id"], announced["kind"]) == (direct, "direct")
    await join(him, direct)
    history = (await him.wait_for("conversation-history")).data
    assert [message["id"] for message in history["messages"]] == [sent["id"]]
    await say(her, direct, "and live")
    await heard(him, "and live")


async def test_online_users_are_the_members_who_are_here_with_oneself(stage: Stage) -> None:
    alice, bob, carol = new_id(), new_id(), new_id()
    group = await stage.group(alice, bob, carol)
    her = await stage.messaging(alice)
    await stage.messaging(bob)
    await her.wait_for("user-online", where=lambda seen: seen.data["userId"] == bob)
    online = (await call(her, "list-online-users", conversationId=group))["onlineUsers"]
    assert sorted(online) == sorted([alice, bob])


async def test_a_status_is_told_to_those_who_share_a_conversation(stage: Stage) -> None:
    alice, bob = new_id(), new_id()
    await stage.group(alice, bob)
    her, him = await stage.messaging(alice), await stage.messaging(bob)
    await call(him, "set-status", status="away")
    told = await her.wait_for("user-online", where=lambda seen: seen.data["status"] == "away")
    assert told.data["userId"] == bob
    await call(him, "set-status", status="offline")
    gone = await her.wait_for("user-offline", where=lambda seen: seen.data["userId"] == bob)
    assert gone.data["status"] == "offline"


# --- what goes wrong ---------------------------------------------------------------------------------

WRONG: list[tuple[str, Json, str]] = [
    ("send-message", {"conversationId": "no-such", "content": "x"}, "ROOM_NOT_FOUND"),
    ("send-message", {"conversationId": "general", "content": "   "}, "INVALID_FORMAT"),
    ("send-message", {"conversationId": "general", "content": "x" * 4001}, "MESSAGE_TOO_LONG"),
    ("send-message", {"conversationId": {"$ne": None}, "content": "x"}, "INVALID_FORMAT"),
    ("send-message", "not an object", "INVALID_FORMAT"),
    ("mark-as-read", {"messageId": "1"}, "MESSAGE_NOT_FOUND"),
    ("join-conversation", {}, "INVALID_FORMAT"),
    ("no-such-command", {}, "INVALID_FORMAT"),
    ("edit-message", {"messageId": "1", "content": "x"}, "MESSAGE_NOT_FOUND"),
    ("authenticate", {"token": "bad"}, "AUTH_FAILED"),
]


@pytest.mark.parametrize("transports", TRANSPORTS[:2], ids="+".join)
async def test_what_is_wrong_is_acked_and_told_in_one_error_and_ends_nothing(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    client = await stage.messaging(new_id(), transports=transports)
    for number, (command, payload, code) in enumerate(WRONG, start=1):
        answer = await client.emit_with_ack(command, payload)
        assert (answer["success"], answer["code"]) == (False, code), (command, answer)
        assert isinstance(answer["message"], str)
        error = await client.wait_for("error", where=lambda seen: seen.kind == "event", since=0)
        assert error.data.keys() == {"message", "code", "details"}
        await join(client, "general")  # a marker: whatever was told of the failure has arrived
        assert len(client.events("error")) == number
    assert [seen.data["code"] for seen in client.events("error")] == [code for *_, code in WRONG]
    assert not [seen for seen in client.seen if seen.kind == "disconnect"]


async def test_an_error_repeats_what_the_command_named(stage: Stage) -> None:
    client = await stage.messaging(new_id())
    answer = await refused(client, "join-conversation", conversationId="no-such")
    assert answer["details"]["conversationId"] == "no-such"


# --- others reach it too -----------------------------------------------------------------------------


async def test_a_message_sent_by_rest_or_in_chat_is_heard(stage: Stage) -> None:
    alice, bob, group = await pair(stage)
    sender = (await say(alice, group, "first"))["senderId"]
    stored = await stage.post(sender, group, "by REST", attachments=["https://example.com/a/b.pdf"])
    assert await heard(bob, "by REST") == stored
    assert stored["attachments"][0]["fileName"] == "b.pdf"
    chat = await stage.chat(sender)
    await call(chat, "message:send", conversationId=int(group), content="in chat")
    assert (await heard(bob, "in chat"))["seq"] == 3


@ON_ALL_TRANSPORTS
async def test_the_client_of_python_socketio_chats_as_well(stage: Stage, transports: tuple[str, ...]) -> None:
    name = new_id()
    group = await stage.group(name)
    client = socketio.AsyncClient()
    messages: asyncio.Queue[Any] = asyncio.Queue()
    client.on("new-message", messages.put, namespace="/messaging")
    await client.connect(
        stage.servers[0].url,
        namespaces=["/messaging"],
        auth={"token": token(name)},
        transports=list(transports),
    )
    joined = await client.call("join-conversation", {"conversationId": group}, namespace="/messaging")
    assert joined["success"] is True
    words = {"conversationId": group, "content": "from Python"}
    sent = await client.call("send-message", words, namespace="/messaging")
    assert await asyncio.wait_for(messages.get(), 10) == sent["message"]
    await client.disconnect()
