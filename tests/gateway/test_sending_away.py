"""Who is disconnected by an administrator hears nothing more, in any process, whatever the bus loses."""

from __future__ import annotations

from datetime import timedelta

import pytest

from messaging.domain.commands import (
    DisconnectUser,
    EraseUser,
    GetStats,
    ListConnections,
    PutConversation,
)
from messaging.domain.errors import AuthFailed, PermissionDenied
from messaging.domain.events import UserSentAway
from messaging.domain.models import Identity, Profile
from messaging.domain.replies import ConnectionList, Stats
from messaging.gateway.farewell import REMOVED
from messaging.service import handlers, users
from messaging.service.context import Outcome
from tests.gateway.house import House, clock, token, until
from tests.stage import service

ALICE = DisconnectUser(user_id="alice")


async def test_all_connections_end_in_all_processes_and_others_stay(street: House) -> None:
    here, there = await street.one.connect("alice"), await street.other.connect("alice", dialect="chat")
    bob = await street.other.connect("bob")
    await street.one.do(ALICE)
    await until(lambda: here.farewell and there.farewell)
    assert here.farewell is there.farewell is REMOVED
    assert bob.farewell is None
    assert [here.of("error")[-1]["code"], there.of("error")[-1]["code"]] == ["AUTH_FAILED", "AUTH_FAILED"]


async def test_nothing_is_delivered_and_nothing_begun_from_then_on(street: House) -> None:
    await street.one.do(PutConversation(conversation_id="1", member_ids=("alice", "bob")))
    alice, bob = await street.one.connect("alice"), await street.one.connect("bob")
    for client in (alice, bob):
        await client.join("1")
    alice.session.send_away()
    heard = len(alice.heard)
    await bob.say("1")
    ack = await alice.emit("send-message", conversationId="1", content="too late")
    await until(lambda: bob.messages == [1])
    assert len(alice.heard) == heard
    assert alice.of(ack) == []


async def test_what_the_bus_lost_is_found_in_the_store(street: House) -> None:
    there = await street.other.connect("alice")
    street.one.bus.loses = lambda event: isinstance(event, UserSentAway)
    await street.one.do(ALICE)
    assert there.farewell is None
    await street.other.gateway.sending_away.compare()
    assert there.farewell is REMOVED


@pytest.mark.parametrize("lost", [False, True])
async def test_an_erased_user_is_told_so_also_where_the_bus_lost_it(street: House, *, lost: bool) -> None:
    there = await street.other.connect("alice")
    street.one.bus.loses = lambda event: lost and isinstance(event, UserSentAway)
    await street.one.do(EraseUser(user_id="alice"))
    await street.other.gateway.sending_away.compare()
    assert there.farewell is REMOVED
    assert there.of("error")[-1]["message"] == "This user has been removed."
    other = await street.one.connect("bob")
    await street.one.do(DisconnectUser(user_id="bob"))
    assert other.of("error")[-1]["message"] == "An administrator has disconnected you."


async def test_what_was_heard_is_not_carried_out_again_when_it_is_found(street: House) -> None:
    await street.one.do(DisconnectUser(user_id="alice", revoke=False))
    await street.other.connect("bob")
    again = await street.one.connect("alice")
    for process in street.processes:
        await process.gateway.sending_away.compare()
        await process.gateway.sending_away.compare()
    assert again.farewell is None


async def test_tokens_from_before_are_refused_everywhere_and_later_ones_taken(street: House) -> None:
    old = token("alice")
    for process in street.processes:
        await users.sign_in(process.gateway.ctx, old)
    await street.one.do(ALICE)
    for process in street.processes:
        await process.gateway.sending_away.compare()
        with pytest.raises(AuthFailed):
            await process.gateway.sign_in(old, "10.0.0.1")
        later = Identity(profile=Profile(id="alice"), issued_at=clock() + timedelta(seconds=1))
        process.gateway.ctx.revocations.check(later)
        with pytest.raises(AuthFailed):
            process.gateway.ctx.revocations.check(Identity(profile=Profile(id="alice")))
        process.gateway.ctx.revocations.check(Identity(profile=Profile(id="bob")))


async def test_without_revoking_the_token_stays_good(house: House) -> None:
    old = token("alice")
    alice = await house.one.connect("alice")
    await house.one.do(DisconnectUser(user_id="alice", revoke=False))
    assert alice.farewell is REMOVED
    assert (await house.one.gateway.sign_in(old, "10.0.0.1")).profile.id == "alice"


async def test_a_process_that_starts_later_knows_who_was_sent_away(street: House) -> None:
    await street.one.gateway.ctx.store.disconnect("alice", revoked_before=clock())
    await street.other.gateway.sending_away.compare()
    with pytest.raises(AuthFailed):
        await street.other.gateway.sign_in(token("alice"), "10.0.0.1")


async def test_a_token_that_is_revoked_while_its_bearer_comes_in_lets_nobody_in(house: House) -> None:
    identity = await house.one.gateway.sign_in(token("alice"), "10.0.0.1")
    await house.one.do(ALICE)
    with pytest.raises(AuthFailed):
        house.one.gateway.ctx.revocations.check(identity)


async def test_who_held_back_an_expired_session_is_not_told_what_was_held(house: House) -> None:
    alice = await house.one.connect("alice", seconds=0)
    await until(lambda: alice.of("error"))
    await house.one.do(ALICE)
    assert alice.farewell is REMOVED


async def test_ordinary_users_send_nobody_away(house: House) -> None:
    alice = await house.one.connect("alice")
    with pytest.raises(PermissionDenied):
        await handlers.HANDLERS[DisconnectUser](house.one.gateway.ctx, alice.session.actor, ALICE)


async def test_the_census_counts_all_processes_and_pages_through_them(street: House) -> None:
    for process in street.processes:
        for user in ("alice", "bob"):
            await process.connect(user, device="phone")
    ctx = street.one.gateway.ctx
    listed, place = [], None
    for _ in range(4):
        outcome = await handlers.HANDLERS[ListConnections](
            ctx, service(), ListConnections(limit=1, next=place)
        )
        assert isinstance(outcome, Outcome)
        assert isinstance(outcome.reply, ConnectionList)
        listed += list(outcome.reply.connections)
        place = outcome.reply.next
    assert place is None
    assert [each.user_id for each in listed] == ["alice", "alice", "bob", "bob"]
    assert len({each.process for each in listed}) == 2
    stats = await handlers.HANDLERS[GetStats](ctx, service(), GetStats())
    assert isinstance(stats, Outcome)
    assert isinstance(stats.reply, Stats)
    assert [each.connections for each in stats.reply.processes] == [(("messaging", 2),)] * 2
