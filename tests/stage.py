"""A whole service without a network: real commands on a real SQLite store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from messaging.backplanes import Exchange, in_memory
from messaging.domain.commands import Actor, Command, PutConversation, SendMessage
from messaging.domain.events import Announcement, BlocksChanged
from messaging.domain.models import Identity, Message, Profile
from messaging.domain.replies import Reply, Sent
from messaging.service import handlers
from messaging.service.context import Context, Outcome, make_context
from messaging.service.policy import Policy
from messaging.service.ports import Store
from messaging.service.ports_push import Pushing
from messaging.service.ports_uploads import Files
from messaging.stores.sqlite import SqliteStore
from messaging.tokens import JsonWebTokens

SECRET = "a secret of tests, long enough for HS256"
NO_RULES: Mapping[str, str] = {
    "messages": "",
    "ws-chat": "",
    "signals": "",
    "queries": "",
    "auth-failures": "",
}


@dataclass
class Clock:
    """A clock that goes on when a test says so."""

    now: datetime = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Stage:
    """The service and who plays on it."""

    ctx: Context
    clock: Clock
    events: list[Announcement] = field(default_factory=list)
    files: Files | None = None
    """Where uploads are, in tests that have some."""

    async def outcome(self, actor: Actor, command: Command) -> Outcome:
        """What a command leads to; its events are kept in `events` and noted as the hub would."""
        result = await handlers.HANDLERS[type(command)](self.ctx, actor, command)
        outcome = result if isinstance(result, Outcome) else await result
        for event in outcome.events:
            self.ctx.seats.note(event)
            if isinstance(event, BlocksChanged):
                self.ctx.blocks.note(event)
        self.events += outcome.events
        return outcome

    async def do(self, actor: Actor, command: Command) -> Reply:
        """What a command answers."""
        return (await self.outcome(actor, command)).reply

    async def user(self, user_id: str, **profile: str) -> Actor:
        """A user who has signed in."""
        person = Profile(id=user_id, **profile)
        await self.ctx.store.put_user(person)
        self.ctx.people.note(person)
        return Actor(identity=Identity(profile=person), connection=f"of {user_id}")

    async def group(self, conversation_id: str, *user_ids: str) -> None:
        """A group with these members."""
        await self.do(service(), PutConversation(conversation_id=conversation_id, member_ids=user_ids))

    async def send(self, actor: Actor, conversation_id: str, content: str = "hello") -> Message:
        """A message that was stored."""
        reply = await self.do(actor, SendMessage(conversation_id=conversation_id, content=content))
        assert isinstance(reply, Sent)
        return reply.view.message


def service() -> Actor:
    """The host application."""
    return Actor(identity=Identity(profile=Profile(id="host"), service=True), service=True)


@asynccontextmanager
async def staged(
    *,
    policy: Policy | None = None,
    rules: Mapping[str, str] = NO_RULES,
    store: Store | None = None,
    webhooks: frozenset[str] = frozenset(),
    pushing: Pushing | None = None,
) -> AsyncIterator[Stage]:
    """A stage on a fresh store. `webhooks` are what a webhook wants to be told."""
    clock = Clock()
    backplane = in_memory(Exchange(rules))
    store = store or SqliteStore(":memory:")
    await store.open()
    try:
        ctx = make_context(
            store=store,
            presence=backplane.presence,
            limits=backplane.limits,
            tokens=JsonWebTokens(secret=SECRET, clock=clock),
            clock=clock,
            policy=policy or Policy(),
            pushing=pushing,
            webhooks=webhooks,
        )
        yield Stage(ctx, clock)
        await ctx.reads.close()
        await ctx.changes.close()
        await ctx.committer.close()
    finally:
        await store.close()
        await backplane.close()
