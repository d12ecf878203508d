"""Users: signing in, profiles from two sides, and who may see what of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from messaging.domain.commands import Actor, Authenticate, FindUsers, GetUser, PutConversation, PutUser
from messaging.domain.errors import AuthFailed, PermissionDenied, UserNotFound
from messaging.domain.models import Profile
from messaging.domain.replies import Authenticated, UserList, UserReply
from messaging.service import users
from messaging.service.people import People
from messaging.stores.sqlite import SqliteStore
from messaging.tokens import mint
from tests.stage import SECRET, Stage, service, staged


def token(stage: Stage, user_id: str, *, name: str | None = None, role: str | None = None) -> str:
    return mint(SECRET, user_id, now=stage.clock(), ttl=timedelta(minutes=5), name=name, role=role)


async def profile(stage: Stage, user_id: str) -> Profile:
    reply = await stage.do(service(), GetUser(user_id=user_id))
    assert isinstance(reply, UserReply)
    return reply.profile


async def test_a_user_exists_once_they_have_signed_in(stage: Stage) -> None:
    with pytest.raises(UserNotFound):
        await profile(stage, "bob")
    identity = await users.sign_in(stage.ctx, token(stage, "bob", name="Bob"))
    assert identity.profile == await profile(stage, "bob")
    assert identity.profile.name == "Bob"


async def test_a_token_without_a_name_does_not_erase_a_provisioned_one(stage: Stage) -> None:
    given = Profile(id="bob", name="Bob", email="bob@example.com", image="/bob.png")
    await stage.do(service(), PutUser(profile=given))
    identity = await users.sign_in(stage.ctx, token(stage, "bob"))
    assert identity.profile == await profile(stage, "bob") == given


async def test_what_a_token_says_stands_above_what_was_known(stage: Stage) -> None:
    await stage.do(service(), PutUser(profile=Profile(id="bob", name="Robert", image="/bob.png")))
    await users.sign_in(stage.ctx, token(stage, "bob", name="Bob"))
    assert await profile(stage, "bob") == Profile(id="bob", name="Bob", image="/bob.png")


async def test_signing_in_does_not_undo_what_a_service_said_to_another_process_a_moment_ago() -> None:
    store = SqliteStore(":memory:")
    async with staged(store=store) as stage:
        await users.sign_in(stage.ctx, token(stage, "bob"))
        await store.put_user(Profile(id="bob", image="/bob.png"))  # another process, and no cache heard of it
        await users.sign_in(stage.ctx, token(stage, "bob", name="Bob"))
        assert await profile(stage, "bob") == Profile(id="bob", name="Bob", image="/bob.png")


async def test_a_new_token_of_the_same_user_is_good(stage: Stage) -> None:
    bob = await stage.user("bob")
    reply = await stage.do(bob, Authenticate(token=token(stage, "bob", name="Bob")))
    assert isinstance(reply, Authenticated)
    assert reply.identity.profile.name == "Bob"
    assert reply.identity.expires_at is not None


async def test_another_users_token_is_refused_and_leaves_nothing_behind(stage: Stage) -> None:
    bob = await stage.user("bob")
    with pytest.raises(AuthFailed):
        await stage.do(bob, Authenticate(token=token(stage, "alice", name="Alice")))
    with pytest.raises(UserNotFound):
        await profile(stage, "alice")


@pytest.mark.parametrize("bad", ["", "nonsense", "a.b.c"])
async def test_a_bad_token_is_refused(stage: Stage, bad: str) -> None:
    bob = await stage.user("bob")
    with pytest.raises(AuthFailed):
        await stage.do(bob, Authenticate(token=bad))


async def test_a_token_that_has_ended_is_refused_also_when_it_was_good_before(stage: Stage) -> None:
    first = token(stage, "bob")
    await users.sign_in(stage.ctx, first)
    stage.clock.pass_by(5 * 60 + 9)
    await users.sign_in(stage.ctx, first)
    stage.clock.pass_by(2)
    with pytest.raises(AuthFailed):
        await users.sign_in(stage.ctx, first)


async def test_the_email_address_is_for_oneself_and_for_services(stage: Stage) -> None:
    bob, eve = await stage.user("bob", email="bob@example.com"), await stage.user("eve")

    async def private(actor: Actor) -> bool:
        reply = await stage.do(actor, GetUser(user_id="bob"))
        assert isinstance(reply, UserReply)
        return reply.private

    assert [await private(actor) for actor in (bob, eve, service())] == [True, False, True]


async def test_only_a_service_provisions_users(stage: Stage) -> None:
    bob = await stage.user("bob")
    with pytest.raises(PermissionDenied):
        await stage.do(bob, PutUser(profile=Profile(id="eve")))
    new, old = [await stage.do(service(), PutUser(profile=Profile(id="eve"))) for _ in range(2)]
    assert isinstance(new, UserReply)
    assert isinstance(old, UserReply)
    assert (new.created, old.created) == (True, False)


async def test_a_service_makes_users_exist_by_naming_them_as_members(stage: Stage) -> None:
    await stage.do(service(), PutConversation(conversation_id="1", member_ids=("zoe",)))
    assert await profile(stage, "zoe") == Profile(id="zoe")


async def test_people_are_found_page_by_page(stage: Stage) -> None:
    bob = await stage.user("bob")
    for number in range(5):
        await stage.user(f"u{number}", name=f"Ann {number}")
    found: list[str] = []
    command = FindUsers(query="ann", limit=2)
    while True:
        reply = await stage.do(bob, command)
        assert isinstance(reply, UserList)
        found += [p.id for p in reply.profiles]
        if reply.next is None:
            break
        command = replace(command, next=reply.next)
    assert found == [f"u{number}" for number in range(5)]


async def test_somebody_who_is_gone_is_shown_by_their_id() -> None:
    store = SqliteStore(":memory:")
    await store.open()
    try:
        assert (await People(store).find(["ghost"]))["ghost"] == Profile(id="ghost")
    finally:
        await store.close()
