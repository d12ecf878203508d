"""P4: sending again is safe: one client message id, however often and wherever at once, is one message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from scripts.chaos_harness.checker import Fact, disorder, doubles
from scripts.chaos_harness.people import Crowd, token
from scripts.chaos_harness.promise import Trial, Verdict
from scripts.chaos_harness.record import fact_of
from tests.clients import NodeClients
from tests.websockets import WS_CHAT, PythonSocket

MOST_AT_ONCE = 10
Send = Callable[[str], Awaitable[set[Fact]]]


async def _by_socketio(base: str, clients: NodeClients) -> Send:
    client = await clients.connect(base, auth={"token": token("ann")})

    async def send(name: str) -> set[Fact]:
        message = {"conversationId": "1", "content": name, "clientMessageId": name}
        ack = await client.emit_with_ack("send-message", message)
        assert ack["success"], ack
        return {fact_of(ack["message"])}

    return send


async def _by_websocket(base: str, people: Crowd) -> Send:
    url = f"{base}{WS_CHAT.path}?token={token('ann')}"
    socket = await PythonSocket.open(WS_CHAT, people.http, url)
    await socket.ask("join_room", room="1")

    async def send(name: str) -> set[Fact]:
        await socket.do("room_message", room="1", content=name, client_message_id=name)
        await socket.hears("room_message", client_message_id=name)
        heard = [body for body in socket.all("room_message") if body.get("client_message_id") == name]
        return {Fact(client_id=name, id=str(body["id"]), seq=body["seq"]) for body in heard}

    return send


async def _by_rest(base: str, people: Crowd, name: str) -> set[Fact]:
    body = {"content": name, "clientMessageId": name, "senderId": "ann"}
    answer = await people.rest("POST", "/api/conversations/1/messages", body, base=base)
    return {fact_of(answer["message"])}


async def attempt(trial: Trial) -> Verdict:
    """Send the same 1 to 10 times at once over Socket.IO, WebSocket and REST at two processes."""
    rounds = trial.scale(short=3, quick=10, full=100)
    first, second = await trial.stage.pair()
    people = await trial.stage.crowd(first.url, second.url)
    await people.group("1", "ann", "bob")
    reader = await people.reader("bob", "1")
    found: list[str] = []
    async with NodeClients.running() as clients:
        ways: list[Send] = []
        for base in people.bases:
            ways += [await _by_socketio(base, clients), await _by_websocket(base, people)]
            ways.append(partial(_by_rest, base, people))
        for number in range(rounds * MOST_AT_ONCE):
            name, times = f"ann-{number}", number % MOST_AT_ONCE + 1
            chosen = [ways[trial.chance.randrange(len(ways))] for _ in range(times)]
            answers = await asyncio.gather(*(way(name) for way in chosen))
            if len(facts := set().union(*answers)) != 1:
                found.append(f"{name}, {times} times: {facts}")
    stored = await people.stored("1")
    await reader.reach(len(stored), 15)
    found += disorder({"the store": stored, reader.name: reader.seen}, up_to=rounds * MOST_AT_ONCE)
    found += [f"{name} is stored twice" for name in doubles(stored)]
    return Verdict(
        load=f"{rounds * MOST_AT_ONCE} client message ids, 2 processes",
        faults="each sent 1 to 10 times at once by Socket.IO, WebSocket and REST",
        figures={"sent": sum(range(1, MOST_AT_ONCE + 1)) * rounds, "stored": len(stored)},
        complaints=found,
    )
