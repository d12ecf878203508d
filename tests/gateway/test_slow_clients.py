"""The slow hurt only themselves: who is sent away while an event is told costs nobody else that event."""

from __future__ import annotations

from messaging.domain.commands import PutConversation
from messaging.gateway.farewell import SLOW
from tests.gateway.house import House


async def test_who_is_sent_away_as_too_slow_costs_the_next_ones_no_message(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="1", member_ids=("alice", "bob", "carol")))
    alice, bob, carol = [await house.one.connect(name) for name in ("alice", "bob", "carol")]
    for client in (alice, bob, carol):
        await client.join("1")
    bob.session.push = lambda _text: bob.close(SLOW)  # as a transport does whose outbox is full
    assert (await alice.say("1"))["success"]
    assert (await alice.say("1"))["success"]
    assert bob.farewell is SLOW
    assert alice.messages == carol.messages == [1, 2]


async def test_typing_is_left_out_before_messages_are(house: House) -> None:
    await house.one.do(PutConversation(conversation_id="1", member_ids=("alice", "bob")))
    alice, bob = [await house.one.connect(name) for name in ("alice", "bob")]
    for client in (alice, bob):
        await client.join("1")
    bob.crowded = True
    await alice.call("user-typing", conversationId="1")
    assert (await alice.say("1"))["success"]
    assert bob.messages == [1]
    assert not bob.of("user-typing")
