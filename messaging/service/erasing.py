"""Erasing users: at once what is theirs alone, then, step by step, what they left in conversations.

That a user is to be erased is kept first. Every step may be repeated, so whichever process goes on after
another one died (`gateway/upkeep.py`) begins with the last. No step does more than a few things.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from messaging.domain.commands import Actor, DeleteMessage, EraseUser, RemoveMember, SetReaction
from messaging.domain.errors import MessageNotFound, PermissionDenied, RoomNotFound, UserNotFound
from messaging.domain.events import Announcement, MemberRemoved
from messaging.domain.forgetting import Erasure
from messaging.domain.models import SYSTEM, Identity, Kind, Profile
from messaging.domain.replies import Done
from messaging.service.administration import send_away
from messaging.service.changing import changed, keep_changed, next_version, retried
from messaging.service.context import Context, Outcome
from messaging.service.members import remove_member
from messaging.service.messages import delete_message, set_reaction
from messaging.service.ports_uploads import Files
from messaging.service.uploads import forget_uploads

PLACES_AT_ONCE = 100
"""How many conversations one step looks at."""
AT_ONCE = 10
"""How many memberships one step ends, or messages it takes back."""
_HOUSE = Actor(identity=Identity(profile=SYSTEM, service=True), service=True)


async def erase_user(ctx: Context, actor: Actor, command: EraseUser) -> Outcome:
    """Send a user away and forget their profile, notifications and devices; the rest follows within seconds.

    Their tokens are refused from now on. Erased again, it begins anew.
    """
    if not actor.service:
        raise PermissionDenied("Only a service may erase users.")
    known = await ctx.store.users([command.user_id])
    if command.user_id not in known and await ctx.store.erasure(command.user_id) is None:
        raise UserNotFound
    await ctx.store.begin_erasure(command.user_id, messages=command.messages)
    gone = await send_away(ctx, command.user_id, erased=True)
    await ctx.store.forget_user(command.user_id)
    ctx.people.forget(command.user_id)
    return Outcome(reply=Done(), events=(gone,))


async def erase(ctx: Context, files: Files, erasure: Erasure) -> AsyncIterator[Sequence[Announcement]]:
    """Erase a user in small steps: after each, what is to be told of it. Ends when it is done, or was begun
    anew meanwhile."""
    async for events in _leave(ctx, erasure.user_id):
        yield events
    async for events in _take_back_reactions(ctx, erasure.user_id):
        yield events
    place = erasure.place
    while places := await ctx.store.conversation_ids(after=place, limit=PLACES_AT_ONCE):
        if erasure.messages:
            for conversation_id in sorted(await ctx.store.written_in(places, erasure.user_id)):
                async for events in _take_back(ctx, conversation_id, erasure.user_id):
                    yield events
        await ctx.store.forget_in(places, erasure.user_id)
        place = places[-1]
        if not await ctx.store.note_erasure(erasure, place=place):
            return
        yield ()
    async for _ in forget_uploads(ctx, files, erasure.user_id, messages=erasure.messages):
        yield ()
    await _finish(ctx, erasure)


async def _leave(ctx: Context, user_id: str) -> AsyncIterator[Sequence[Announcement]]:
    """End all memberships."""
    place = ""
    while places := await ctx.store.places_of(user_id, after=place, limit=AT_ONCE):
        yield [event for each in places for event in await _end_membership(ctx, each, user_id)]
        place = places[-1]


async def _end_membership(ctx: Context, conversation_id: str, user_id: str) -> Sequence[Announcement]:
    try:
        command = RemoveMember(conversation_id=conversation_id, user_id=user_id)
        conversation = await ctx.store.conversation(conversation_id)
        if conversation is not None and conversation.kind is Kind.GROUP:
            return (await remove_member(ctx, _HOUSE, command)).events
        return (await _leave_partner(ctx, command)).events
    except (RoomNotFound, UserNotFound):
        return ()  # gone meanwhile


async def _leave_partner(ctx: Context, command: RemoveMember) -> Outcome:
    """Take a user out of a direct conversation, which nobody else ever leaves: the partner keeps it."""

    async def change() -> Outcome | None:
        pair = await ctx.store.conversation(command.conversation_id)
        if pair is None:
            raise RoomNotFound
        new = next_version(ctx, pair, joining=-1)
        if not await keep_changed(ctx, new, remove=[command.user_id]):
            return None
        gone = MemberRemoved(user_id=command.user_id, conversation=new, at=ctx.clock())
        return Outcome(reply=Done(), events=(gone, *await changed(ctx, new)))

    return await retried(change)


async def _take_back_reactions(ctx: Context, user_id: str) -> AsyncIterator[Sequence[Announcement]]:
    """Take back all reactions of a user, as they would themselves; each is told to those who listen."""
    last = 0
    while page := await ctx.store.reacted_to(user_id, after=last, limit=AT_ONCE):
        messages = await ctx.store.messages(page)
        yield [
            event
            for message in messages.values()
            for reaction in message.reactions
            if user_id in reaction.user_ids
            for event in await _unreact(ctx, user_id, message.id, reaction.emoji)
        ]
        last = page[-1]


async def _unreact(ctx: Context, user_id: str, message_id: int, emoji: str) -> Sequence[Announcement]:
    """As the user, who may be no member any more: by the right of a service."""
    gone = Actor(identity=Identity(profile=Profile(id=user_id), service=True), service=True)
    command = SetReaction(message_id=message_id, emoji=emoji, present=False)
    try:
        return (await (await set_reaction(ctx, gone, command))).events
    except MessageNotFound:
        return ()  # gone meanwhile


async def _take_back(
    ctx: Context, conversation_id: str, user_id: str
) -> AsyncIterator[Sequence[Announcement]]:
    """Delete all messages of a user there, as a service would; each is told to those who listen."""
    seq = 0
    while page := await ctx.store.sent(conversation_id, user_id, after=seq, limit=AT_ONCE):
        living = [message.id for message in page if message.deleted_at is None]
        yield [event for each in living for event in await take_back(ctx, each)]
        seq = page[-1].seq


async def take_back(ctx: Context, message_id: int) -> Sequence[Announcement]:
    """Delete a message, as a service would; what is to be told of it."""
    try:
        return (await (await delete_message(ctx, _HOUSE, DeleteMessage(message_id=message_id)))).events
    except MessageNotFound:
        return ()  # gone meanwhile


async def _finish(ctx: Context, erasure: Erasure) -> None:
    """What a connection wrote while it was being closed goes, too; unless the user was made anew."""
    if not await ctx.store.users([erasure.user_id]):
        await ctx.store.forget_user(erasure.user_id)
    await ctx.store.end_erasure(erasure)
