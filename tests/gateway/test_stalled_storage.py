"""While the storage is away, each of many commands hears it within one limit, not after those before it."""

from __future__ import annotations

import asyncio

from messaging.domain.commands import PutConversation
from messaging.domain.errors import Unavailable
from messaging.domain.models import Conversation
from messaging.gateway import session as module
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import built, until

LIMIT_SECONDS = module.STALL_SECONDS + 0.1


class Frozen(SqliteStore):
    """A store that, once frozen, fails each look after the limit."""

    frozen = False

    async def conversation(self, conversation_id: str) -> Conversation | None:
        """As Store.conversation."""
        if self.frozen:
            await asyncio.sleep(LIMIT_SECONDS)
            raise Unavailable
        return await super().conversation(conversation_id)


async def test_many_commands_together_hear_within_one_limit_that_the_storage_is_away() -> None:
    store = Frozen(":memory:")
    async with built(store=store) as house:
        await house.one.do(PutConversation(conversation_id="1", member_ids=("alice",)))
        alice = await house.one.connect("alice")
        store.frozen = True
        acks = [await alice.emit("send-message", conversationId="2", content="x") for _ in range(20)]
        await until(lambda: all(ack in alice.names for ack in acks), 2 * LIMIT_SECONDS)
        assert {alice.of(ack)[0]["code"] for ack in acks} == {"UNAVAILABLE"}
        store.frozen = False
        assert (await alice.say("1"))["success"]
