"""Webhooks of the real service, told to a real receiver: nothing acknowledged is missed, whatever dies."""

from __future__ import annotations

import asyncio
import re
from asyncio import to_thread
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import SECRET, Stage, new_id, say
from tests.conftest import Serve
from tests.receiver import WEBHOOK_SECRET, Receiver, receiving
from tests.servers import ServerProcess

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as there:
        yield there


def hooked(receiver: Receiver, **more: str) -> dict[str, str]:
    """Settings of a service in production whose webhook is on this machine, which has to be allowed."""
    return {
        "JWT_SECRET": SECRET,
        "WEBHOOK_URL": receiver.url,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "WEBHOOK_ALLOW_PRIVATE": "true",
        **more,
    }


def of(stage: Stage, *servers: ServerProcess) -> Stage:
    """The same stage with other processes."""
    return Stage(servers=servers, clients=stage.clients, http=stage.http)


async def tried(stage: Stage, process: int) -> float:
    """How often a process has tried to tell something."""
    text = (await stage.rest("GET", "/metrics", process=process)).body
    return sum(
        float(n) for n in re.findall(r"^messaging_webhook_deliveries_total\{.*\} (\S+)$", text, re.MULTILINE)
    )


async def test_a_process_that_is_killed_tells_after_its_return_what_it_had_acknowledged(
    stage: Stage, serve: Serve, receiver: Receiver
) -> None:
    receiver.answers = lambda _type, _data: 503
    server = serve(hooked(receiver))
    here = of(stage, server)
    alice, bob = new_id(), new_id()
    group = await here.group(alice, bob)
    client = await here.messaging(alice)
    await asyncio.gather(*(say(client, group, str(number)) for number in range(20)))
    await to_thread(server.kill)
    receiver.answers = lambda _type, _data: 204
    await to_thread(server.start)
    await receiver.until(lambda: len(receiver.contents()) == 20)
    stored = [message["content"] for message in await here.stored(group, alice)]
    assert receiver.contents() == stored


async def test_another_process_takes_over_from_one_that_dies(
    service: Service, stage: Stage, receiver: Receiver, on_mongodb_and_redis: dict[str, str]
) -> None:
    pair = service(hooked(receiver, **on_mongodb_and_redis), 2)
    both = of(stage, *pair)
    names = [new_id(), new_id()]
    group = await both.group(*names)
    receiver.pause = 0.02
    clients = [await both.messaging(name, process=number) for number, name in enumerate(names)]
    acked: list[str] = []

    async def talk(number: int) -> None:
        for count in range(60):
            content = f"{number}.{count}"
            try:
                await say(clients[number], group, content)
                acked.append(content)
            except Exception:  # noqa: BLE001  whose process is dead
                return

    talking = [asyncio.create_task(talk(number)) for number in (0, 1)]
    await receiver.until(lambda: len(receiver.contents()) >= 20)
    dead = 0 if await tried(both, 0) > 0 else 1
    await to_thread(pair[dead].kill)
    await asyncio.gather(*talking)
    await receiver.until(lambda: set(acked) <= set(receiver.contents()), seconds=50)
    first_told = list(dict.fromkeys(receiver.contents()))
    stored = [message["content"] for message in await both.stored(group, names[0], process=1 - dead)]
    assert first_told == stored, "each for the first time in the order of the conversation"
    told = [each for each in receiver.taken if each.type == "message.created"]
    assert len({each.id for each in told}) == len(stored), "what is told twice has one id"


async def test_what_happens_is_told_from_all_protocols(
    stage: Stage, serve: Serve, receiver: Receiver
) -> None:
    server = serve(hooked(receiver, PRESENCE_GRACE_SECONDS="0.2"))
    here = of(stage, server)
    alice, bob = new_id(), new_id()
    group = await here.group(alice, bob)
    client = await here.messaging(alice)
    await here.post(bob, group, "by REST")
    await client.close()
    await receiver.until(lambda: any(each.type == "user.offline" for each in receiver.taken))
    await receiver.until(lambda: receiver.contents() == ["by REST"])
    types = {each.type for each in receiver.taken}
    assert {"conversation.created", "message.created", "user.online", "user.offline"} <= types
    online = next(each for each in receiver.taken if each.type == "user.online")
    assert online.data == {"userId": alice, "status": "online"}


async def test_the_trace_of_a_request_goes_on_to_the_log_and_the_webhook(
    stage: Stage, serve: Serve, receiver: Receiver
) -> None:
    server = serve(hooked(receiver))
    here = of(stage, server)
    alice = new_id()
    group = await here.group(alice)
    ways = {
        "rest": TRACE.replace("0af7651916cd", "111111111111"),
        "websocket": TRACE.replace("0af7651916cd", "222222222222"),
        "polling": TRACE.replace("0af7651916cd", "333333333333"),
    }
    path = f"/api/conversations/{group}/messages"
    await here.rest("POST", path, {"content": "rest"}, user=alice, headers={"traceparent": ways["rest"]})
    for transport in ("websocket", "polling"):
        options = {"transports": [transport], "extraHeaders": {"traceparent": ways[transport]}}
        await say(await here.messaging(alice, **options), group, transport)
    await receiver.until(lambda: len(receiver.contents()) == 3)
    told = {
        each.data["message"]["content"]: each.traceparent
        for each in receiver.taken
        if each.type == "message.created"
    }
    assert told == ways
    for trace in ways.values():
        assert f"TraceID={trace[3:35]}" in server.log


async def test_in_production_nothing_inside_is_asked(stage: Stage, serve: Serve, receiver: Receiver) -> None:
    settings = hooked(receiver)
    del settings["WEBHOOK_ALLOW_PRIVATE"]
    settings["WEBHOOK_URL"] = receiver.url.replace("http://127.0.0.1", "https://localhost")
    server = serve(settings)
    here = of(stage, server)
    alice = new_id()
    group = await here.group(alice)
    await here.post(alice, group, "acked all the same")
    await receiver.until(lambda: "did not take a delivery" in server.log)
    assert receiver.seen == []
    assert "acked all the same" not in server.log
