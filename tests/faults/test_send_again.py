"""A client message id belongs to its sender and its conversation."""

from __future__ import annotations

from scripts.chaos_harness.people import crowd
from tests.conftest import Serve


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
