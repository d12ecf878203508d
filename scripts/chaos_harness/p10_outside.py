"""P10: nothing is carried out before sign-in has succeeded, whatever is tried."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt

from messaging.dialects.routes import ROUTES
from scripts.chaos_harness.by_hand import Gone, PollingCarrier, WebSocketCarrier
from scripts.chaos_harness.garbage import path_of
from scripts.chaos_harness.people import SECRET, Crowd, token
from scripts.chaos_harness.promise import Trial, Verdict
from tests.servers import MongoServer

OTHER_SECRET = "another secret, long enough for HS256, that nobody trusts"
SEND = '["send-message",{"conversationId":"general","content":"from outside"}]'
EVENTS = [
    f"42/messaging,7{SEND}",
    f"42{SEND}",
    f"42/{SEND}",
    f"42/admin,{SEND}",
    '42/chat,7["message:send",{"conversationId":"general","content":"from outside"}]',
    '42/messaging,["connect",{}]',
    '42/messaging,["disconnect",{}]',
    '42/messaging,["authenticate",{"token":""}]',
    '451-/messaging,["send-message",{"_placeholder":true,"num":0}]',
    '42/messaging,["__class__",{}]',
]
FRAMES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "/ws/chat": (
        {"type": "join_room", "data": {"room": "general"}},
        {"type": "room_message", "data": {"room": "general", "content": "from outside"}},
        {"type": "message_batch", "data": {"messages": [{"type": "ping", "data": {}}]}},
    ),
    "/ws": ({"type": "group_message", "payload": {"group_id": "general", "content": "from outside"}},),
    "/ws/rooms": (
        {"type": "join", "room": "general"},
        {"type": "message", "room": "general", "content": "from outside"},
    ),
}
WAIT_SECONDS = 0.3

Trick = Callable[[Crowd, str], Awaitable[None]]


def bad_tokens() -> Iterator[str]:
    """Tokens that must not let anybody in."""
    now = datetime.now(UTC)
    good = {"sub": "mallory", "exp": now + timedelta(hours=1)}
    yield from (
        "",
        "x",
        "a.b.c",
        "null",
        "Bearer ",
        "x" * 5_000,
        "\x00",
        token("mallory")[:-2],
        token("mallory") + "x",
    )
    yield jwt.encode(good, OTHER_SECRET, algorithm="HS256")
    yield jwt.encode(good, SECRET, algorithm="HS512")
    yield jwt.encode(good, "", algorithm="none")
    for claims in (
        {"sub": "mallory"},
        {"sub": "mallory", "exp": now - timedelta(minutes=1)},
        {"sub": "mallory", "exp": "9999999999"},
        {"sub": "mallory", "exp": True},
        {"sub": "", "exp": good["exp"]},
        {"sub": True, "exp": good["exp"]},
        {"sub": ["mallory"], "exp": good["exp"]},
        {"sub": {"$ne": None}, "exp": good["exp"]},
        {"sub": "a/b", "exp": good["exp"]},
        {"exp": good["exp"]},
    ):
        yield _signed(claims)


def _signed(claims: Mapping[str, Any]) -> str:
    """As a careless program would sign them: nothing is checked."""
    body = {
        name: int(value.timestamp()) if isinstance(value, datetime) else value
        for name, value in claims.items()
    }
    return jwt.api_jws.encode(json.dumps(body).encode(), SECRET, algorithm="HS256")


# --- tricks ------------------------------------------------------------------------------------------


async def events_without_connect(people: Crowd, _bad: str) -> None:
    await _over_websocket(people, EVENTS)


async def events_around_a_bad_connect(people: Crowd, bad: str) -> None:
    connect = f"40/messaging,{json.dumps({'token': bad})}"
    await _over_websocket(people, [EVENTS[0], connect, *EVENTS, connect, *EVENTS])


async def events_in_another_namespace(people: Crowd, bad: str) -> None:
    await _over_websocket(people, ["40", f"40/admin,{json.dumps({'token': bad})}", *EVENTS])


async def events_beside_a_bad_connect_in_parallel_posts(people: Crowd, bad: str) -> None:
    carrier = await PollingCarrier.open(people.http, people.bases[0])
    await carrier.receive()
    connect = f"40/messaging,{json.dumps({'token': bad})}"
    bodies = [connect, *EVENTS[:6], "\x1e".join([EVENTS[0], connect, EVENTS[0]])]
    await asyncio.gather(*(_quietly(carrier.send(body)) for body in bodies), _quietly(carrier.receive()))


async def frames_at_once(people: Crowd, bad: str) -> None:
    for path, frames in FRAMES.items():
        await _quietly(_over_plain(people, path, bad, frames))


async def requests(people: Crowd, bad: str) -> None:
    headers = {"Authorization": f"Bearer {bad}"} if bad.isprintable() else {}
    for route in ROUTES:
        url = people.bases[0] + path_of(route, id="general", userId="mallory")
        body = route.example if route.body is not None else None
        try:
            async with people.http.request(route.method, url, json=body, headers=headers) as answer:
                assert answer.status == 401, f"{route.method} {route.path}: {answer.status}"
        except (aiohttp.ClientError, ValueError):  # what cannot even be sent, or is cut off
            continue


TRICKS: Sequence[Trick] = (
    events_without_connect,
    events_around_a_bad_connect,
    events_in_another_namespace,
    events_beside_a_bad_connect_in_parallel_posts,
    frames_at_once,
    requests,
)


async def _over_websocket(people: Crowd, packets: Sequence[str]) -> None:
    carrier = await WebSocketCarrier.open(people.http, people.bases[0])
    with contextlib.suppress(Gone):
        for packet in packets:
            await carrier.send(packet)
            if packet.startswith("451-"):
                await carrier.send(b"\x00")
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                await carrier.receive()
    await carrier.close()


async def _over_plain(people: Crowd, path: str, bad: str, frames: Sequence[Mapping[str, Any]]) -> None:
    url = f"{people.bases[0]}{path}"
    async with people.http.ws_connect(url, params={"token": bad}) as ws:
        for frame in frames:
            await ws.send_json(frame)
        await ws.receive(WAIT_SECONDS)


async def _quietly(doing: Awaitable[object]) -> None:
    with contextlib.suppress(Gone, aiohttp.ClientError, OSError, TimeoutError, ValueError):
        await doing


# --- the trial ---------------------------------------------------------------------------------------


async def attempt(trial: Trial) -> Verdict:
    """Try all tricks with all bad tokens, also while the storage, which sign-in needs, is away."""
    rounds = trial.scale(short=1, quick=1, full=10)
    mongodb = await trial.stage.mongodb()
    server = await trial.stage.server({"MONGODB_URI": mongodb.url.replace("/?", "/chaos?")})
    people = await trial.stage.crowd(server.url)
    tried, found = 0, []
    for _ in range(rounds):
        for bad in bad_tokens():
            for trick in TRICKS:
                try:
                    await _quietly(trick(people, bad))
                except AssertionError as complaint:
                    found.append(str(complaint))
                tried += 1
    tried += await _while_storage_is_away(people, mongodb)
    handled = await people.metric("messaging_commands_received_total")
    stored = await people.stored("general")
    if handled or stored:
        found.append(f"{handled:.0f} commands were carried out, {len(stored)} messages stored")
    return Verdict(
        load="nobody who is signed in",
        faults=f"{len(TRICKS)} tricks with {len(list(bad_tokens()))} bad tokens; good ones without storage",
        figures={"tried": tried, "commands carried out": int(handled), "stored": len(stored)},
        complaints=found,
    )


async def _while_storage_is_away(people: Crowd, mongodb: MongoServer) -> int:
    """Sign-in fails where the storage cannot be asked; what was sent right behind it must fail, too."""
    mongodb.pause()
    good = token("alice")
    try:
        connect = f"40/messaging,{json.dumps({'token': good})}"
        await asyncio.gather(
            _over_websocket(people, [connect, *EVENTS]),
            *(_quietly(_over_plain(people, path, good, frames)) for path, frames in FRAMES.items()),
            return_exceptions=True,
        )
        await asyncio.sleep(5.5)
    finally:
        await to_thread(mongodb.resume)
    await asyncio.sleep(1)
    return 1 + len(FRAMES)
