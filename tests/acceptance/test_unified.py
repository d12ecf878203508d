"""`/ws` as its users meet it: one envelope, all of a user's conversations, nothing to be joined."""

from __future__ import annotations

import time

from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import Json, new_id, token
from tests.websockets import Socket


async def two(sockets: Sockets) -> tuple[Socket, Socket, int, int, int]:
    """Alice and Bob in a group of theirs; its id, their ids."""
    alice_id, bob_id = new_id(), new_id()
    group = await sockets.stage.group(alice_id, bob_id)
    alice = await sockets.unified(alice_id, client_id="web")
    bob = await sockets.unified(bob_id)
    return alice, bob, int(group), int(alice_id), int(bob_id)


async def test_a_connection_is_given_its_name_and_then_all_that_it_missed(sockets: Sockets) -> None:
    user = new_id()
    named = await sockets.unified(user, client_id="laptop")
    assert named.frames[0]["payload"] == {
        "event": "connected",
        "client_id": "laptop",
        "user_id": int(user),
    }
    assert named.frames[0]["meta"]["sender_id"] is None
    assert named.all("connection_event")[-1] == {"event": "synced", "count": 0, "more": False}
    same, unnamed = await sockets.unified(user, client_id="laptop"), await sockets.unified(user)
    names = {socket.frames[0]["payload"]["client_id"] for socket in (named, same, unnamed)}
    assert len(names) == 3  # a name that is in use is not given twice
    other = unnamed.frames[0]["payload"]["client_id"]
    told = await named.hears("connection_event", event="connected", client_id=other)
    assert told["payload"]["user_id"] == int(user)
    await unnamed.close()
    await named.hears("connection_event", event="disconnected", client_id=other)
    await sockets.unified(new_id())
    await named.settled()
    assert len(named.all("connection_event")) == 5


async def test_the_frame_of_the_document_is_heard_by_the_group_and_its_sender(sockets: Sockets) -> None:
    alice, bob, group, alice_id, _ = await two(sockets)
    before = int(time.time())
    await alice.send(
        {
            "type": "group_message",
            "payload": {"group_id": group, "content": "Bonjour à tous!"},
            "meta": {"sender_id": 42, "client_id": "web-client-xyz"},
        }
    )
    for socket in (alice, bob):
        frame = await socket.hears("group_message", content="Bonjour à tous!")
        meta = frame["meta"]
        assert (meta["sender_id"], meta["target_id"], meta["client_id"]) == (alice_id, group, "web")
        assert before <= meta["timestamp"] <= time.time()
        payload = frame["payload"]
        assert payload == {
            "message_id": payload["message_id"],
            "conversation_id": group,
            "group_id": group,
            "seq": 1,
            "content": "Bonjour à tous!",
            "content_type": "text",
            "attachments": [],
            "created_at": payload["created_at"],
        }
    assert not alice.all("error")


async def test_direct_messages_name_their_target_in_meta_or_payload(sockets: Sockets) -> None:
    alice, bob, _, alice_id, bob_id = await two(sockets)
    desktop = await sockets.unified(str(alice_id), client_id="desktop")
    by_meta = await alice.ask("chat_message", meta={"target_id": bob_id}, content="meta")
    by_payload = await alice.ask("chat_message", user_id=bob_id, content="payload")
    for content, sent in (("meta", by_meta), ("payload", by_payload)):
        for socket in (bob, desktop):
            frame = await socket.hears("chat_message", content=content)
            assert frame["payload"] == sent
            assert frame["meta"]["target_id"] == bob_id
            assert (frame["meta"]["sender_id"], frame["meta"]["client_id"]) == (alice_id, "web")
    await bob.do("chat_message", meta={"target_id": alice_id}, content="back")
    assert (await alice.hears("chat_message", content="back"))["meta"]["target_id"] == alice_id
    again = {"content": "once", "client_message_id": "draft-1"}
    first = await alice.ask("chat_message", meta={"target_id": bob_id}, **again)
    assert await alice.ask("chat_message", meta={"target_id": bob_id}, **again) == first
    await bob.hears("chat_message", content="once")
    await bob.settled()
    assert bob.all("chat_message", "content").count("once") == 1


async def test_attachments_and_answers_keep_what_was_said_of_them(sockets: Sockets) -> None:
    alice, bob, group, _, _ = await two(sockets)
    first = await alice.ask("group_message", group_id=group, content="first")
    file = {"url": "https://example.com/a/photo.jpg", "file_size": 10, "mime_type": "image/jpeg"}
    await alice.do(
        "group_message", group_id=group, content="", attachments=[file], reply_to=first["message_id"]
    )
    heard = (await bob.hears("group_message", seq=2))["payload"]
    assert heard["reply_to"] == first["message_id"]
    assert heard["attachments"][0].items() >= {**file, "file_name": "photo.jpg"}.items()
    assert (heard["media_url"], heard["media_type"]) == (file["url"], "image/jpeg")


async def test_typing_ends_by_itself_and_is_not_told_to_the_typist(sockets: Sockets) -> None:
    alice, bob, group, alice_id, bob_id = await two(sockets)
    await alice.do("typing_indicator", conversation_id=group)
    started = await bob.hears("typing_indicator", conversation_id=group, group_id=group, is_typing=True)
    assert (started["meta"]["sender_id"], started["meta"]["target_id"]) == (alice_id, group)
    await bob.hears("typing_indicator", conversation_id=group, is_typing=False)
    await alice.ask("chat_message", meta={"target_id": bob_id}, content="now there is a conversation")
    await alice.do("typing_indicator", user_id=bob_id, is_typing=True)
    direct = await bob.wait_for("typing_indicator", where=lambda f: "group_id" not in f["payload"])
    assert direct["payload"]["is_typing"] is True
    assert direct["payload"]["conversation_id"].startswith("dm:")
    await alice.ask("chat_message", meta={"target_id": bob_id}, content="a message ends it")
    await bob.hears("typing_indicator", conversation_id=direct["payload"]["conversation_id"], is_typing=False)
    assert not alice.all("typing_indicator")


async def test_reading_is_told_to_the_author_and_to_the_readers_other_devices(sockets: Sockets) -> None:
    alice, bob, group, _, bob_id = await two(sockets)
    phone = await sockets.unified(str(bob_id))
    sent = await alice.ask("group_message", group_id=group, content="read me")
    await bob.do("read_receipt", message_id=sent["message_id"])
    for socket in (alice, phone, bob):
        frame = await socket.hears("read_receipt", message_id=sent["message_id"], conversation_id=group)
        assert frame["meta"]["sender_id"] == bob_id
        assert frame["payload"]["read_at"].endswith("Z")
    unread = await sockets.stage.rest("GET", "/api/conversations", user=str(bob_id))
    assert unread.body["totalUnread"] == 0


async def test_a_status_is_told_when_chosen_and_to_who_connects_later(sockets: Sockets) -> None:
    alice, bob, _, alice_id, bob_id = await two(sockets)
    await bob.do("status_update", status="busy")
    frame = await alice.hears("status_update", user_id=bob_id, status="busy")
    assert frame["meta"]["sender_id"] == bob_id
    later = await sockets.unified(str(alice_id))
    [seen] = later.all("status_update")
    assert (seen["user_id"], seen["status"]) == (bob_id, "busy")
    assert later.frames[-1]["payload"]["event"] == "synced"
    await bob.do("status_update", status="offline")
    await alice.hears("status_update", user_id=bob_id, status="offline")
    assert not (await sockets.unified(str(alice_id))).all("status_update")
    assert (await alice.refused("status_update", status="asleep"))["code"] == "INVALID_FORMAT"


async def test_who_is_invited_may_join_and_nobody_else(sockets: Sockets) -> None:
    alice, bob, group, alice_id, _ = await two(sockets)
    carol_id, stranger = int(new_id()), await sockets.unified(new_id())
    carol = await sockets.unified(str(carol_id))
    invitation: dict[str, Json] = {"type": "group_invite", "group_id": group}
    assert (await carol.refused("group_join", group_id=group))["code"] == "ROOM_NOT_FOUND"
    refused = await stranger.refused("notification", meta={"target_id": carol_id}, **invitation)
    assert (refused["code"], refused["details"]["group_id"]) == ("ROOM_NOT_FOUND", group)
    await alice.do("notification", meta={"target_id": carol_id}, **invitation)
    told = await carol.hears("notification", **invitation)
    assert (told["meta"]["sender_id"], told["meta"]["target_id"]) == (alice_id, carol_id)
    assert (await stranger.refused("group_join", group_id=group))["code"] == "ROOM_NOT_FOUND"
    assert (await carol.ask("group_join", group_id=group))["member_count"] == 3
    for socket in (alice, bob):
        await socket.hears("group_updated", group_id=group, member_count=3)
    await alice.ask("group_message", group_id=group, content="welcome")
    await carol.hears("group_message", content="welcome")
    await carol.ask("group_message", group_id=group, content="thank you")
    await bob.hears("group_message", content="thank you")
    nobody = await alice.refused("notification", meta={"target_id": int(new_id())}, **invitation)
    assert nobody["code"] == "USER_NOT_FOUND"
    assert {told["type"] for told in bob.all("notification")} == {"group_added"}


async def test_an_invitation_waits_for_who_is_away_and_is_good_for_once(sockets: Sockets) -> None:
    alice, _, group, _, _ = await two(sockets)
    carol_id = new_id()
    carol = await sockets.unified(carol_id)
    await carol.close()
    await alice.do("notification", meta={"target_id": carol_id}, type="group_invite", group_id=group)
    await alice.settled()
    back = await sockets.unified(carol_id)
    await back.ask("group_join", group_id=group)
    removed = await sockets.stage.rest("DELETE", f"/api/conversations/{group}/members/{carol_id}")
    assert removed.status == 200
    await back.hears("group_updated", group_id=group, removed=True)
    assert (await back.refused("group_join", group_id=group))["code"] == "ROOM_NOT_FOUND"
    await alice.ask("group_message", group_id=group, content="among us")
    await back.settled()
    assert not back.all("group_message")


async def test_refusals_say_what_they_are_about_and_end_nothing(sockets: Sockets) -> None:
    alice, _, group, _, bob_id = await two(sockets)
    stranger, private = int(new_id()), int(await sockets.stage.group(new_id()))

    async def code(name: str, **body: Json) -> tuple[str, Json]:
        error = await alice.refused(name, **body)
        assert set(error) == {"code", "message", "details"}
        return error["code"], error["details"]

    assert await code("group_message", group_id=private, content="x") == (
        "ROOM_NOT_FOUND",
        {"group_id": private},
    )
    to_stranger = await code("chat_message", user_id=stranger, content="x")
    assert to_stranger == ("USER_NOT_FOUND", {"user_id": stranger})
    assert (await code("chat_message", content="to whom?"))[0] == "INVALID_FORMAT"
    assert (await code("chat_message", user_id=bob_id))[0] == "INVALID_FORMAT"
    assert (await code("group_message", group_id=group, content="x" * 4001))[0] == "MESSAGE_TOO_LONG"
    assert (await code("read_receipt", message_id=12345))[0] == "MESSAGE_NOT_FOUND"
    assert (await code("typing_indicator"))[0] == "INVALID_FORMAT"
    assert (await code("subscribe"))[0] == "INVALID_FORMAT"
    assert (await code("greet"))[0] == "INVALID_FORMAT"


async def test_an_ended_token_stops_everything_until_there_is_a_new_one(sockets: Sockets) -> None:
    alice, _, group, _, bob_id = await two(sockets)
    brief = await sockets.unified(str(bob_id), seconds=-8.0)  # of 10 seconds' leeway, 2 are left
    await brief.hears("error", code="AUTH_FAILED")
    await alice.ask("group_message", group_id=group, content="meanwhile")
    assert not brief.all("group_message")
    assert (await brief.ask("authenticate", token=token(str(bob_id))))["expires_at"].endswith("Z")
    await brief.hears("group_message", content="meanwhile")
    await brief.ask("group_message", group_id=group, content="on it goes")


async def test_a_removed_member_hears_of_it_and_then_nothing(sockets: Sockets) -> None:
    alice, bob, group, _, bob_id = await two(sockets)
    await sockets.stage.rest("PATCH", f"/api/conversations/{group}", {"name": "Salon"})
    await bob.hears("group_updated", group_id=group, name="Salon")
    await sockets.stage.rest("DELETE", f"/api/conversations/{group}/members/{bob_id}")
    await bob.hears("group_updated", group_id=group, removed=True)
    await alice.hears("group_updated", group_id=group, member_count=1)
    await alice.ask("group_message", group_id=group, content="alone")
    await bob.settled()
    assert not bob.all("group_message")
