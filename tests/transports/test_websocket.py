"""Plain WebSockets: who is let in, how they are told why not, and what they find inside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from messaging.dialects import SOCKETS
from messaging.domain.errors import Unavailable
from messaging.gateway import farewell
from messaging.gateway.gateway import Gateway
from messaging.transports.handshake import Limits
from messaging.transports.origins import Origins
from messaging.transports.websocket import WebSocketWire
from tests.gateway.house import token
from tests.stage import NO_RULES
from tests.transports.rfc6455 import BINARY, CLOSE, TEXT, RawClient, eventually
from tests.transports.sockets import Client, Site, serving

PATHS = list(SOCKETS)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as made:
        yield made


async def status_of(site: Site, path: str = "/ws", **options: Any) -> tuple[int, str]:
    """How an upgrade is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.http.ws_connect(site.url + path, **options)
    assert refused.value.headers is not None
    return refused.value.status, refused.value.headers.get("Retry-After", "")


# --- signing in ---


@pytest.mark.parametrize("path", PATHS)
async def test_a_good_token_is_let_in(site: Site, path: str) -> None:
    async with await site.connect(path) as client:
        await client.works()
    await site.swept()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?token=bad"])
async def test_a_bad_token_is_told_in_the_words_of_the_dialect(site: Site, path: str, query: str) -> None:
    client = Client(await site.http.ws_connect(site.url + path + query))
    frame = await client.next()
    assert frame["type"] == "error"
    assert (frame.get("payload") or frame.get("data") or frame)["code"] == "AUTH_FAILED"
    assert await client.ended() == 4401
    await site.swept()


async def test_a_refused_client_that_never_says_goodbye_is_cut_off(site: Site) -> None:
    async with RawClient.connected(site.url, "/ws") as client:
        client.send(TEXT, b'{"type":"ping"}')
        assert (await client.until(TEXT)).json["payload"]["code"] == "AUTH_FAILED"
        assert (await client.until(CLOSE)).code == 4401
        async with asyncio.timeout(1.0):
            assert await client.next() is None


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("bearer, {jwt}", "bearer"), ("{jwt}", "{jwt}"), ("permessage-deflate, {jwt}", "permessage-deflate")],
)
async def test_a_subprotocol_may_bring_the_token(site: Site, offered: str, answered: str) -> None:
    jwt = token("alice")
    header = f"Sec-WebSocket-Protocol: {offered.format(jwt=jwt)}\r\n"
    async with RawClient.connected(site.url, "/ws/rooms", header) as client:
        assert f"\r\nSec-WebSocket-Protocol: {answered.format(jwt=jwt)}\r\n" in client.head
        client.say(type="ping")
        assert (await client.heard())["type"] == "pong"


async def test_permessage_deflate_as_a_subprotocol_is_echoed_and_compresses_nothing(site: Site) -> None:
    header = "Sec-WebSocket-Protocol: permessage-deflate\r\n"
    path = f"/ws/rooms?token={token('alice')}"
    async with RawClient.connected(site.url, path, header) as client:
        assert "\r\nSec-WebSocket-Protocol: permessage-deflate\r\n" in client.head
        assert "Sec-WebSocket-Extensions" not in client.head


@pytest.mark.parametrize("header", ["Authorization: Bearer {jwt}", "Cookie: access_token={jwt}"])
async def test_headers_may_bring_the_token(site: Site, header: str) -> None:
    async with RawClient.connected(site.url, "/ws/rooms", header.format(jwt=token("a")) + "\r\n") as client:
        client.say(type="ping")
        assert (await client.heard())["type"] == "pong"


@pytest.mark.parametrize(
    ("origin", "works"), [("https://app.example", True), ("https://other.example", False)]
)
async def test_a_cookie_counts_only_from_a_trusted_page(site: Site, origin: str, works: bool) -> None:
    header = f"Origin: {origin}\r\nCookie: access_token={token('alice')}\r\n"
    async with RawClient.connected(site.url, "/ws/rooms", header) as client:
        client.say(type="ping")
        assert (await client.heard())["type"] == ("pong" if works else "error")


async def test_a_foreign_page_is_refused_by_http() -> None:
    async with serving(origins=Origins()) as site:
        headers = {"Origin": "https://evil.example"}
        assert (await status_of(site, f"/ws?token={token('alice')}", headers=headers))[0] == 403


async def test_what_is_no_websocket_is_told_to_become_one(site: Site) -> None:
    async with site.http.get(site.url + "/ws") as answer:
        assert answer.status == 426
        assert answer.headers["Upgrade"] == "websocket"
        assert (await answer.json())["error"]["code"] == "INVALID_FORMAT"


async def test_a_handshake_without_its_key_is_refused_and_leaves_nothing(site: Site) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    async with site.http.get(f"{site.url}/ws?token={token('alice')}", headers=headers) as answer:
        assert answer.status == 400
    await site.swept()


@pytest.mark.parametrize("user", ["alice", None])
async def test_who_goes_away_during_the_handshake_leaves_nothing_not_even_a_line(
    site: Site, user: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    query = f"?token={token(user)}" if user else ""
    head = (
        f"GET /ws{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    address = urlsplit(site.url)
    for _ in range(20):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(head.encode())
        writer.close()
        await writer.wait_closed()
    async with await site.connect("/ws", "bob"):
        pass  # whoever came before has been heard
    await site.swept()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_after_too_many_failures_only_a_bad_token_is_refused_by_http() -> None:
    async with serving(rules={**NO_RULES, "auth-failures": "2/minute"}) as site:
        for _ in range(2):
            client = Client(await site.http.ws_connect(site.url + "/ws?token=bad"))
            assert await client.ended() == 4401
        for _ in range(2):
            status, retry_after = await status_of(site, "/ws?token=bad")
            assert status == 429
            assert 0 < int(retry_after) <= 60
        async with await site.connect() as good:
            await good.works()


async def test_an_address_has_a_limited_number_of_connections() -> None:
    async with serving(max_connections_per_address=1) as site:
        first = await site.connect()
        assert (await status_of(site, f"/ws?token={token('bob')}"))[0] == 429
        await first.ws.close()
        await site.swept()
        async with await site.connect() as again:
            await again.works()


async def test_a_user_has_a_limited_number_of_connections(site: Site) -> None:
    site.gateway._max_connections_per_user = 1  # noqa: SLF001
    async with await site.connect() as first:
        await first.works()
        assert (await status_of(site, f"/ws?token={token('alice')}"))[0] == 429


async def test_a_process_that_drains_lets_nobody_in_and_sends_everybody_away(site: Site) -> None:
    client = await site.connect()
    await client.works()
    ending = asyncio.create_task(client.ended())
    await site.gateway.drain(1.0)
    assert await ending == 1012
    assert (await status_of(site, f"/ws?token={token('alice')}"))[0] == 503


async def test_an_app_that_stops_waits_for_nobody() -> None:
    async with serving() as site:
        client = await site.connect()
        await client.works()
        ending = asyncio.create_task(client.ended())
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.0
    assert await ending == 1012


@pytest.mark.parametrize(("error", "code"), [(Unavailable(), 1013), (KeyError("a bug"), 1011)])
async def test_any_other_failure_closes_without_a_refusal(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("messaging.service.users.sign_in", fail)
    client = Client(await site.http.ws_connect(f"{site.url}/ws?token={token('alice')}"))
    message = await client.ws.receive(timeout=5)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)


async def test_a_storage_that_fails_while_somebody_comes_in_sends_them_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(site.gateway.hub, "follow", fail)
    assert await (await site.connect()).ended() == 1013
    await site.swept()


async def test_a_bug_while_somebody_comes_in_leaves_nothing_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Gateway, "started", fail)
    assert await (await site.connect()).ended() == 1011
    await site.swept()


# --- what is said ---


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("opcode", "data"), [(TEXT, b"{"), (TEXT, b"[]"), (TEXT, b'{"type":7}'), (BINARY, b"{}"), (TEXT, b"{}")]
)
async def test_what_is_no_command_is_told_and_ends_nothing(
    site: Site, path: str, opcode: int, data: bytes
) -> None:
    async with RawClient.connected(site.url, f"{path}?token={token('alice')}") as client:
        client.send(opcode, data)
        while (frame := await client.heard())["type"] != "error":
            pass
        assert (frame.get("payload") or frame.get("data") or frame)["code"] == "INVALID_FORMAT"
        client.say(type="ping", payload={}, data={})
        while (await client.heard())["type"] != "pong":
            pass


async def test_commands_are_answered_in_order_and_in_good_time(site: Site) -> None:
    async with await site.connect() as client:
        for number in range(300):
            await client.say("history", room=f"nowhere-{number}")
        for number in range(300):
            error = await client.until("error")
            assert error["details"]["room"] == f"nowhere-{number}"


async def test_a_message_reaches_who_is_in_the_room(site: Site) -> None:
    async with await site.connect() as alice, await site.connect("/ws/rooms", "bob") as bob:
        for client in (alice, bob):
            await client.say("join", room="hall")
            await client.until("joined")
        await alice.say("message", room="hall", content="hello")
        for client in (alice, bob):
            assert (await client.until("message"))["content"] == "hello"


async def test_a_client_that_is_silent_is_noticed() -> None:
    async with (
        serving(limits=Limits(ping_seconds=0.1, pong_seconds=0.1)) as site,
        RawClient.connected(site.url, f"/ws/rooms?token={token('alice')}") as client,
    ):
        assert await client.ended() is None
        await site.swept()


async def test_a_frame_over_the_limit_closes_with_1009() -> None:
    async with serving(limits=Limits(max_frame_bytes=500)) as site:
        client = await site.connect()
        await client.ws.send_str("x" * 501)
        assert await client.ended() == 1009


async def test_a_user_who_is_removed_is_closed_with_4403(site: Site) -> None:
    client = await site.connect()
    await client.works()
    for session in list(site.gateway.sessions):
        session.close(farewell.REMOVED)
    assert await client.ended() == 4403


async def test_a_batch_is_for_those_who_ask_and_dialects_that_have_one(site: Site) -> None:
    async with await site.connect("/ws/chat", query="batch=1") as client:
        for _ in range(3):
            await client.say("ping", data={})
        seen: list[str] = []
        while len(seen) < 3:
            frame = await client.next()
            together = frame["data"]["messages"] if frame["type"] == "message_batch" else [frame]
            assert all(set(one) >= {"type", "data", "timestamp"} for one in together)
            seen += [one["type"] for one in together if one["type"] == "pong"]
    async with await site.connect("/ws/rooms", query="batch=1") as plain:
        await plain.works()


async def test_frames_of_one_moment_come_in_one_batch(site: Site) -> None:
    async with await site.connect("/ws/chat", query="batch=1") as client:
        await client.works()
        [session] = site.gateway.sessions
        for number in range(3):
            session.push(f'{{"n":{number}}}')
        batch = await client.until("message_batch")
        assert batch["data"]["messages"] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_nothing_is_acked() -> None:
    wire = WebSocketWire(SOCKETS["/ws"])
    with pytest.raises(TypeError):
        wire.encode_ack(1, {})


async def test_connections_of_all_kinds_leave_nothing_behind(site: Site) -> None:
    before = len(asyncio.all_tasks())
    clients = [await site.connect(PATHS[number % 3], f"user-{number % 5}") for number in range(20)]
    for client in clients:
        await client.works()
    for client in clients[:10]:
        await client.ws.close()
    for client in clients[10:]:
        assert client.ws._response.connection is not None  # noqa: SLF001
        transport = client.ws._response.connection.transport  # noqa: SLF001
        assert transport is not None
        transport.abort()
    await site.swept()
    await eventually(lambda: not site.gateway.hub.followers)
    for client in clients[10:]:
        await client.ws.close()
    await eventually(lambda: len(asyncio.all_tasks()) <= before)
