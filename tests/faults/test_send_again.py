"""P4: sending again is safe: one client message id, however often and wherever at once, is one message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.conftest import Serve
from tests.faults.checker import Fact, disorder, doubles
from tests.faults.load import ENVIRONMENT, Crowd, crowd, fact_of

ROUNDS = 10
Send = Callable[[str], Awaitable[Fact]]


async def by_socket(people: Crowd, base: str) -> Send:
    client = await people.connect("ann", base=base)

    async def send(name: str) -> Fact:
        ack = await client.ask(
            "send-message", {"conversationId": "1", "content": "x", "clientMessageId": name}
        )
        assert ack["success"], ack
        return fact_of(ack["message"])

    return send


def by_rest(people: Crowd, base: str) -> Send:
    async def send(name: str) -> Fact:
        body = {"content": "x", "clientMessageId": name, "senderId": "ann"}
        answer = await people.rest("POST", "/api/conversations/1/messages", body, base=base)
        return fact_of(answer["message"])

    return send


async def test_one_client_message_id_is_stored_once_and_every_answer_is_the_same(
    serve: Serve, mongodb_uri: str, redis_url: str
) -> None:
    environment = {**ENVIRONMENT, "MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url}
    async with crowd(serve(environment).url, serve(environment).url) as people:
        await people.group("1", "ann")
        ways = [
            way for base in people.bases for way in (await by_socket(people, base), by_rest(people, base))
        ]
        for times in range(1, 11):
            for number in range(ROUNDS):
                name = f"{times}-{number}"
                answers = await asyncio.gather(*(ways[(n + number) % 4](name) for n in range(times)))
                assert len(set(answers)) == 1, answers
        stored = await people.stored("1")
    assert len(stored) == 10 * ROUNDS
    assert doubles(stored) == []
    assert disorder({"the store": stored}, up_to=len(stored)) == []


async def test_the_same_client_message_id_of_somebody_else_or_elsewhere_is_another_message(
    serve: Serve, environment: dict[str, str]
) -> None:
    async with crowd(serve(environment).url) as people:
        await people.group("1", "ann", "bob")
        await people.group("2", "ann", "bob")
        clients = [await people.connect(user) for user in ("ann", "bob")]
        acks = [
            await client.ask(
                "send-message", {"conversationId": place, "content": "x", "clientMessageId": "c"}
            )
            for client in clients
            for place in ("1", "2")
        ]
    assert len({ack["message"]["id"] for ack in acks}) == 4
