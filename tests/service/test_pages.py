"""The last messages of a conversation are shown again while they are so, and never a moment longer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.commands import (
    Actor,
    DeleteMessage,
    EditMessage,
    JoinConversation,
    MarkConversationRead,
    SetReaction,
)
from messaging.domain.errors import ClientError, RoomNotFound
from messaging.domain.models import Message, MessageView, Profile
from messaging.domain.replies import Joined
from messaging.service.context import make_context
from messaging.service.pages import MAX_CHARACTERS, Pages
from messaging.service.people import People
from messaging.stores.sqlite import SqliteStore
from tests.stage import Stage, staged

USERS = ("alice", "bob", "carol")
LIMIT = 4


class Counting(SqliteStore):
    """A store that counts how often messages are read, and how many."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.pages: list[int] = []

    async def history(
        self,
        conversation_id: str,
        *,
        before: int | None = None,
        after: int | None = None,
        offset: int = 0,
        limit: int,
    ) -> Sequence[Message]:
        """As Store.history."""
        found = await super().history(conversation_id, before=before, after=after, offset=offset, limit=limit)
        if found:
            self.pages.append(len(found))
        return found


async def shown(stage: Stage, limit: int = LIMIT) -> tuple[MessageView, ...]:
    """What this process shows."""
    return tuple((await stage.ctx.pages.last("1", limit)).views)


async def stored(stage: Stage, limit: int = LIMIT) -> tuple[MessageView, ...]:
    """What a process shows that knows nothing yet."""
    store = stage.ctx.store
    return tuple((await Pages(store, People(store)).last("1", limit)).views)


async def talk(stage: Stage) -> dict[str, Actor]:
    actors = {user_id: await stage.user(user_id) for user_id in USERS}
    await stage.group("1", *USERS)
    return actors


async def test_what_is_known_is_not_read_again_and_what_came_since_is_read_alone() -> None:
    store = Counting()
    async with staged(store=store) as stage:
        actors = await talk(stage)
        for number in range(6):
            await stage.send(actors["alice"], "1", str(number))
        first = (await stage.ctx.pages.last("1", LIMIT)).views
        again = (await stage.ctx.pages.last("1", LIMIT)).views
        assert (again is first, store.pages) == (True, [4])
        await stage.send(actors["bob"], "1", "new")
        assert [view.message.content for view in await shown(stage)] == ["3", "4", "5", "new"]
        assert store.pages == [4, 1]
        for number in range(LIMIT):
            await stage.send(actors["bob"], "1", str(number))
        assert await shown(stage) == await stored(stage)


async def test_other_processes_reads_and_changes_show_at_once() -> None:
    async with staged() as stage:
        actors = await talk(stage)
        message = await stage.send(actors["alice"], "1", "before")
        assert [view.read_at for view in await shown(stage)] == [None]
        await stage.do(actors["bob"], MarkConversationRead(conversation_id="1"))
        assert [view.read_at for view in await shown(stage)] == [stage.clock()]
        await stage.do(actors["alice"], EditMessage(message_id=message.id, content="after"))
        assert [view.message.content for view in await shown(stage)] == ["after"]


async def test_a_conversation_that_was_made_anew_shows_nothing_of_the_old_one() -> None:
    async with staged() as stage:
        actors = await talk(stage)
        for content in ("old", "older"):
            await stage.send(actors["alice"], "1", content)
        assert len(await shown(stage)) == 2
        await stage.ctx.store.delete("1")
        assert (await stage.ctx.pages.last("1", LIMIT)).end is None
        stage.clock.pass_by(60)
        stage.ctx.seats._forget("1")  # noqa: SLF001  as the event about it does
        await stage.group("1", *USERS)
        for content in ("new", "newer"):
            await stage.send(actors["alice"], "1", content)
        assert [view.message.content for view in await shown(stage)] == ["new", "newer"]


async def test_nobody_joins_what_is_gone_though_it_was_there_a_moment_ago() -> None:
    async with staged() as stage:
        actors = await talk(stage)
        await stage.send(actors["alice"], "1")
        await stage.do(actors["alice"], JoinConversation(conversation_id="1"))
        await stage.ctx.store.delete("1")
        for after in (None, 0):
            try:
                await stage.do(actors["alice"], JoinConversation(conversation_id="1", after=after))
            except RoomNotFound:
                continue
            raise AssertionError(after)


async def test_a_new_name_shows_as_soon_as_it_is_known() -> None:
    async with staged() as stage:
        actors = await talk(stage)
        await stage.send(actors["alice"], "1")
        assert [view.sender.name for view in await shown(stage)] == [None]
        stage.ctx.people.note(Profile(id="alice", name="Alice"))
        assert [view.sender.name for view in await shown(stage)] == ["Alice"]


async def test_pages_that_say_much_are_not_kept() -> None:
    store = Counting()
    async with staged(store=store) as stage:
        actors = await talk(stage)
        for _ in range(MAX_CHARACTERS // 4000 + 1):
            await stage.send(actors["alice"], "1", "x" * 4000)
        for _ in range(2):
            assert len(await shown(stage, 50)) == MAX_CHARACTERS // 4000 + 1
        assert store.pages == [13, 13]


async def test_who_missed_nothing_is_given_nothing_without_reading_messages() -> None:
    store = Counting()
    async with staged(store=store) as stage:
        actors = await talk(stage)
        for _ in range(3):
            await stage.send(actors["alice"], "1")
        reply = await stage.do(actors["bob"], JoinConversation(conversation_id="1", after=3))
        assert isinstance(reply, Joined)
        assert (reply.messages, reply.last_seq, reply.missing, store.pages) == ((), 3, False, [])


steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "edit", "delete", "react", "read", "remove", "look"]),
        st.integers(0, len(USERS) - 1),
        st.integers(0, LIMIT),
    ),
    max_size=25,
)


async def take(stage: Stage, other: Stage, step: tuple[str, int, int], sent: list[Message]) -> None:
    """Something happens, by way of another process."""
    what, number, back = step
    actor = Actor(identity=(await other.user(USERS[number])).identity, connection="elsewhere")
    message = sent[-1 - back] if back < len(sent) else None
    match what:
        case "send":
            sent.append(await other.send(actor, "1", f"message {len(sent)}"))
        case "read":
            await other.do(actor, MarkConversationRead(conversation_id="1"))
        case "remove" if message is not None:
            await other.ctx.store.remove_before("1", message.created_at, limit=100)
        case "edit" if message is not None:
            await other.do(actor, EditMessage(message_id=message.id, content=f"edited {number}"))
        case "delete" if message is not None:
            await other.do(actor, DeleteMessage(message_id=message.id))
        case "react" if message is not None:
            await other.do(actor, SetReaction(message_id=message.id, emoji="👍", present=number > 0))
        case _:
            assert await shown(stage) == await stored(stage)


@given(steps)
@settings(max_examples=60, deadline=None)
async def test_whatever_happens_elsewhere_what_is_shown_is_what_is_stored(
    sequence: list[tuple[str, int, int]],
) -> None:
    async with staged() as stage:
        await talk(stage)
        other = elsewhere(stage)
        sent: list[Message] = []
        for step in sequence:
            stage.clock.pass_by(1)
            try:
                await take(stage, other, step, sent)
            except ClientError:
                pass  # not theirs to change, deleted already, or removed
            assert await shown(stage) == await stored(stage)
        for limit in (1, 50):
            assert await shown(stage, limit) == await stored(stage, limit)


def elsewhere(stage: Stage) -> Stage:
    """Another process on the same store, whose events this one never hears."""
    ctx = stage.ctx
    made = make_context(
        store=ctx.store,
        presence=ctx.presence,
        limits=ctx.limits,
        tokens=ctx.tokens,
        clock=stage.clock,
        policy=ctx.policy,
    )
    return Stage(made, stage.clock)
