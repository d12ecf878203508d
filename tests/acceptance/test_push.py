"""Web Push as a whole: the real service, on one process and on two, and a real push service on this machine.

The service runs in this process, since only by construction can it be given a way that leads to this machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from messaging.app import Service
from messaging.push.keys import new_key
from messaging.settings import Settings
from tests.acceptance.stage import SECRET, SERVICE, Json, eventually, new_id, token
from tests.push.browsers import Browser, PushService, push_service, until, who
from tests.servers import free_port

VAPID, PUBLIC = new_key()


@dataclass
class Town:
    """A service of some processes, by their addresses, and what pushes to its users' browsers."""

    urls: list[str]
    pushes: PushService
    http: aiohttp.ClientSession

    async def rest(
        self, method: str, path: str, body: Json = None, *, user: str = SERVICE, process: int = 0
    ) -> Json:
        """What a request that has to succeed answers."""
        headers = {"Authorization": f"Bearer {token(user)}"}
        async with self.http.request(method, self.urls[process] + path, json=body, headers=headers) as answer:
            said = await answer.json()
            assert answer.status in (200, 201), said
            return said

    async def browser(self, user: str, process: int = 0) -> Browser:
        """A browser of this user, subscribed as a page does it."""
        made = self.pushes.browser(user)
        key = await self.rest("GET", "/api/push/key", user=user, process=process)
        assert key == {"publicKey": PUBLIC}
        subscription = {"endpoint": made.endpoint, "expirationTime": None, "keys": made.keys}
        await self.rest("POST", "/api/push/subscriptions", subscription, user=user, process=process)
        return made

    async def socket(self, user: str, process: int) -> aiohttp.ClientWebSocketResponse:
        """A connection of this user that has been greeted."""
        url = f"{self.urls[process].replace('http', 'ws')}/ws?token={token(user)}"
        socket = await self.http.ws_connect(url)
        while (await socket.receive_json())["payload"].get("event") != "synced":
            pass
        return socket


@pytest.fixture(params=["SQLite", pytest.param("MongoDB and Redis", marks=pytest.mark.real)])
async def town(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Town]:
    """One process on SQLite, or two as in production."""
    storage: dict[str, Any] = {"database_path": tmp_path / "messaging.db"}
    if request.param != "SQLite":
        uri, redis = request.getfixturevalue("mongodb_uri"), request.getfixturevalue("redis_url")
        storage = {"mongodb_uri": uri, "redis_url": redis}
    settings = Settings(
        jwt_secret=SECRET,
        vapid_private_key=VAPID,
        vapid_subject="mailto:operator@example.com",
        presence_grace_seconds=0.2,
        **storage,
    )
    async with AsyncExitStack() as stack:
        pushes = await stack.enter_async_context(push_service(tmp_path))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        urls = [await _serving(stack, settings, pushes, http) for _ in range(1 if len(storage) == 1 else 2)]
        yield Town(urls, pushes, http)


async def _serving(
    stack: AsyncExitStack, settings: Settings, pushes: PushService, http: aiohttp.ClientSession
) -> str:
    app = Service(settings, push_out=pushes.way()).web_app()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"http://127.0.0.1:{port}"

    async def is_ready() -> bool:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200

    await eventually(is_ready, 30)
    return url


async def group(town: Town, *users: str) -> str:
    made = new_id()
    await town.rest("PUT", f"/api/conversations/{made}", {"memberIds": list(users)})
    return made


async def test_what_comes_while_a_user_has_no_connection_is_pushed_once(town: Town) -> None:
    alice, bob = new_id(), new_id()
    last = len(town.urls) - 1
    browser = await town.browser(bob, process=last)
    where = await group(town, alice, bob)
    path = f"/api/conversations/{where}/messages"
    for process in (0, last):
        await town.rest("POST", path, {"content": f"from {process}"}, user=alice, process=process)
    await town.rest("POST", "/api/notifications", {"userId": bob, "type": "booking", "title": "Ten"})
    await until(lambda: len(browser.heard) >= 4)
    kinds = sorted(str(each.get("kind", each.get("body"))) for each in browser.heard)
    assert kinds == sorted(["group_added", "from 0", f"from {last}", "booking"])
    claims, key = who(browser.headers[0])
    assert (claims["aud"], key) == (f"https://127.0.0.1:{town.pushes.port}", PUBLIC)


async def test_nothing_is_pushed_to_who_is_connected_anywhere_or_has_muted(town: Town) -> None:
    alice, bob = new_id(), new_id()
    last = len(town.urls) - 1
    browser = await town.browser(bob)
    where = await group(town, alice, bob)
    await until(lambda: browser.heard)  # of being added
    browser.heard.clear()
    socket = await town.socket(bob, last)

    async def is_seen() -> bool:
        status = await town.rest("GET", f"/api/users/{bob}/status", user=alice)
        return bool(status["online"])

    await eventually(is_seen)
    path = f"/api/conversations/{where}/messages"
    await town.rest("POST", path, {"content": "live"}, user=alice)
    await town.rest("POST", "/api/messages/read", {"conversationId": where}, user=bob)
    await socket.close()

    async def is_gone() -> bool:
        return not await is_seen()

    await eventually(is_gone)
    await town.rest("POST", path, {"content": "away"}, user=alice)
    await until(lambda: browser.heard)
    await town.rest("POST", f"/api/conversations/{where}/mute", user=bob)
    await town.rest("POST", path, {"content": "muted"}, user=alice)
    await town.rest("POST", f"/api/conversations/{where}/unmute", user=bob)
    await town.rest("POST", path, {"content": "end"}, user=alice)
    await until(lambda: len(browser.heard) == 2)
    assert [each["body"] for each in browser.heard] == ["away", "end"]


async def test_a_browser_that_is_gone_or_unsubscribed_is_left_alone(town: Town) -> None:
    user = new_id()
    browsers = [await town.browser(user) for _ in range(2)]
    town.pushes.answers.append(web.Response(status=410))
    await town.rest("POST", "/api/notifications", {"userId": user, "type": "one"})
    await until(lambda: len(town.pushes.asked) == 2)
    (left,) = [browser for browser in browsers if browser.heard]

    async def forgotten() -> bool:
        before = len(town.pushes.asked)
        await town.rest("POST", "/api/notifications", {"userId": user, "type": "more"})
        await until(lambda: left.heard[-1]["kind"] == "more" and len(town.pushes.asked) > before)
        left.heard[-1]["kind"] = "seen"
        return len(town.pushes.asked) - before == 1

    await eventually(forgotten)
    gone = {"endpoint": left.endpoint}
    assert await town.rest("DELETE", "/api/push/subscriptions", gone, user=user) == {"success": True}
    before = len(town.pushes.asked)
    await town.rest("POST", "/api/notifications", {"userId": user, "type": "none"})
    other = await town.browser(new_id())
    await town.rest("POST", "/api/notifications", {"userId": other.user_id, "type": "end"})
    await until(lambda: other.heard)
    assert len(town.pushes.asked) == before + 1
