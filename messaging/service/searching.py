"""Searching for messages by their words."""

from __future__ import annotations

from collections.abc import Collection

from messaging.domain import ids
from messaging.domain.commands import Actor, SearchMessages
from messaging.domain.errors import InvalidFormat
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import Found
from messaging.domain.words import MAX_WORDS, Query, query_of
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.views import scattered_views


async def search_messages(ctx: Context, actor: Actor, command: SearchMessages) -> Outcome:
    """The newest messages with all the words, in one conversation or in all that the user is a member of.

    So a public room is searched only where it is named.
    """
    query, before = _query(command), _before(command)
    await count_query(ctx, actor)
    where = await _where(ctx, actor, command)
    found = await ctx.store.search(query, conversation_ids=where, before=before, limit=command.limit + 1)
    page = found[: command.limit]
    more = str(page[-1].id) if len(found) > len(page) else None
    return Outcome(reply=Found(messages=await scattered_views(ctx, page), next=more))


def _query(command: SearchMessages) -> Query:
    query = query_of(command.query)
    if query is None:
        raise InvalidFormat(f"A query has 1 to {MAX_WORDS} words of letters and digits.", field="query")
    return query


def _before(command: SearchMessages) -> int | None:
    if command.next is None:
        return None
    try:
        return ids.message_id(command.next)
    except ValueError:
        raise InvalidFormat("This is not where a list went on.", field="next") from None


async def _where(ctx: Context, actor: Actor, command: SearchMessages) -> Collection[str]:
    if command.conversation_id is None:
        return await ctx.store.member_of(actor.user_id)
    seat = await ctx.seats.find(command.conversation_id, actor.user_id)
    return [permit(Action.READ, seat.conversation, seat.role, service=actor.service).id]
