"""Users: who exists, what is known of them, and how they sign in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

from messaging.domain.commands import Actor, Authenticate, FindUsers, GetUser, PutUser
from messaging.domain.errors import AuthFailed, PermissionDenied, UserNotFound
from messaging.domain.models import Identity, Profile
from messaging.domain.replies import Authenticated, UserList, UserReply
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query


async def sign_in(ctx: Context, token: str) -> Identity:
    """Who bears this token; from now on that user exists. AuthFailed when it is not good, or not any more.

    The profile is what was known of the user, with what the token says on top.
    """
    identity = await ctx.tokens.verify(token)
    ctx.revocations.check(identity)
    user_id = identity.profile.id
    recent = ctx.people.recent(user_id)
    known = await ctx.people.known(user_id) if recent is None else recent
    profile = _merged(known, identity.profile)
    if profile != known:
        if recent is not None:  # it may be some seconds old
            user = (await ctx.store.users([user_id])).get(user_id)
            profile = _merged(user.profile if user else None, identity.profile)
        await ctx.store.put_user(profile)
        ctx.people.note(profile)
    return replace(identity, profile=profile)


async def authenticate(ctx: Context, actor: Actor, command: Authenticate) -> Outcome:
    """Go on with a new token for the same user; any other token is refused and ends nothing."""
    identity = await ctx.tokens.verify(command.token)
    if identity.profile.id != actor.user_id:
        raise AuthFailed("This token belongs to another user.")
    return Outcome(reply=Authenticated(identity=await sign_in(ctx, command.token)))


async def get_user(ctx: Context, actor: Actor, command: GetUser) -> Outcome:
    """A user's profile; with the e-mail address for themselves and for services."""
    user = (await ctx.store.users([command.user_id])).get(command.user_id)
    if user is None:
        raise UserNotFound
    private = actor.service or actor.user_id == command.user_id
    return Outcome(reply=UserReply(profile=user.profile, private=private))


async def put_user(ctx: Context, actor: Actor, command: PutUser) -> Outcome:
    """Make a user known, or replace their profile."""
    if not actor.service:
        raise PermissionDenied("Only a service may provision users.")
    created = await ctx.store.put_user(command.profile)
    ctx.people.note(command.profile)
    return Outcome(reply=UserReply(profile=command.profile, private=True, created=created))


async def find_users(ctx: Context, actor: Actor, command: FindUsers) -> Outcome:
    """Users whose id or one of whose names begins with a text."""
    await count_query(ctx, actor)
    found = await ctx.store.find_users(command.query, limit=command.limit + 1, after=command.next)
    page = tuple(found[: command.limit])
    return Outcome(reply=UserList(profiles=page, next=page[-1].id if len(found) > len(page) else None))


async def ensure_users(ctx: Context, actor: Actor, user_ids: Collection[str]) -> None:
    """All these users exist. A service makes them by naming them; for others an unknown one is an error."""
    known = await ctx.store.users(user_ids) if user_ids else {}
    for user_id in user_ids:
        if user_id in known:
            continue
        if not actor.service:
            raise UserNotFound
        await ctx.store.put_user(Profile(id=user_id))


def _merged(known: Profile | None, told: Profile) -> Profile:
    if known is None:
        return told
    changes = {f.name: value for f in fields(told) if (value := getattr(told, f.name)) is not None}
    return replace(known, **changes)
