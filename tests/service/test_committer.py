"""Committer: drafts of a conversation in one write at a time and in their order, and few writes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from itertools import groupby

import pytest

from messaging.domain.errors import ClientError, Unavailable
from messaging.domain.models import Appended, Draft
from messaging.service import committer as module
from messaging.service.committer import Committer
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import until
from tests.stores.build import conversation, draft


class Gated(SqliteStore):
    """A store in which writes wait while a gate is shut, and which can be away."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False
        self.together = 4
        self.batches: list[list[str]] = []

    @property
    def appends_together(self) -> int:
        """More than in SQLite, unless a test says otherwise."""
        return self.together

    def has_begun(self, writes: int) -> bool:
        """Whether so many writes have begun."""
        return len(self.batches) == writes

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Appended | ClientError]:
        """As Store.append."""
        self.batches.append([each.content for each in drafts])
        await self.gate.wait()
        if self.away:
            raise Unavailable
        return await super().append(drafts)


@pytest.fixture
async def store() -> AsyncIterator[Gated]:
    store = Gated()
    await store.open()
    for name in "cdefg":
        await store.save(conversation(name))
    yield store
    await store.close()


class Outcomes(list[tuple[str, Appended | Exception]]):
    """What became of drafts, in the order in which it was told."""

    def give(self, committer: Committer, content: str, where: str = "c") -> None:
        committer.append(draft(content, conversation_id=where), partial(self._told, content))

    def _told(self, content: str, outcome: Appended | Exception) -> None:
        self.append((content, outcome))


async def test_what_waits_for_a_conversation_goes_together_in_its_next_write(store: Gated) -> None:
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    told.give(committer, "1")
    await until(lambda: store.batches == [["1"]])
    for content in "234":
        told.give(committer, content)
    await asyncio.sleep(0.01)
    assert len(store.batches) == 1
    store.gate.set()
    await committer.close()
    assert [content for batch in store.batches for content in batch] == ["1", "2", "3", "4"]
    assert [content for content, _ in told] == ["1", "2", "3", "4"]
    assert [each.message.seq for _, each in told if isinstance(each, Appended)] == [1, 2, 3, 4]


async def test_where_one_write_is_under_way_the_next_has_what_they_send_who_were_told(store: Gated) -> None:
    store.together = 1
    committer, told = Committer(store), Outcomes()

    def send_again(content: str, outcome: Appended | Exception) -> None:
        told.append((content, outcome))
        told.give(committer, f"{content} again", where="d")

    store.gate.clear()
    first = [str(number) for number in range(2 * module.TOLD_AT_ONCE)]
    for content in first:
        committer.append(draft(content), partial(send_again, content))
    await until(lambda: store.batches == [first])
    told.give(committer, "waits", where="e")
    store.gate.set()
    await committer.close()
    assert store.batches == [first, ["waits", *(f"{content} again" for content in first)]]
    assert [content for content, _ in told] == [*first, *store.batches[1]]


async def test_a_few_conversations_are_written_together_and_no_more(store: Gated) -> None:
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    for number, where in enumerate("cdefg"):
        told.give(committer, str(number), where)
        await until(partial(store.has_begun, min(number + 1, store.appends_together)))
    await asyncio.sleep(2 * module.PATIENCE_SECONDS)
    assert len(store.batches) == store.appends_together
    store.gate.set()
    await committer.close()
    assert sorted(content for content, _ in told) == list("01234")


async def test_little_waits_for_the_write_that_is_under_way(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60.0)
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    told.give(committer, "1", "c")
    await until(lambda: store.batches == [["1"]])
    told.give(committer, "2", "d")
    told.give(committer, "3", "e")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.batches == [["1"]]
    store.gate.set()
    await until(lambda: len(told) == 3)
    assert store.batches == [["1"], ["2", "3"]]
    await committer.close()


async def test_where_enough_waits_another_write_begins_beside_the_first(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60.0)
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    told.give(committer, "first", "c")
    await until(lambda: store.batches == [["first"]])
    for number in range(module.ENOUGH):
        told.give(committer, str(number), "d")
    await until(lambda: len(store.batches) == 2)
    assert len(store.batches[1]) == module.ENOUGH
    store.gate.set()
    await committer.close()
    assert len(told) == module.ENOUGH + 1


async def test_who_is_answered_and_sends_again_at_once_is_in_the_next_write(store: Gated) -> None:
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    committer.append(draft("a"), lambda _: told.give(committer, "a again"))
    await until(lambda: len(store.batches) == 1)
    told.give(committer, "b")
    await asyncio.sleep(0.02)  # the longer the write, the longer the moment after it
    store.gate.set()
    await until(lambda: len(told) == 2)
    assert store.batches == [["a"], ["b", "a again"]]


async def test_those_who_were_answered_together_and_send_again_one_by_one_are_in_one_write(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BURST_SECONDS", 5.0)  # nobody waits so long: all of them come
    committer, told = Committer(store), Outcomes()
    for content in "abc":
        told.give(committer, content)
    await until(lambda: len(told) == 3)
    for content in "def":
        told.give(committer, content)
        await asyncio.sleep(0)
    await until(lambda: len(told) == 6)
    assert store.batches == [["a", "b", "c"], ["d", "e", "f"]]


async def test_nobody_waits_long_for_one_who_does_not_come(store: Gated) -> None:
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    told.give(committer, "a")
    await until(lambda: len(store.batches) == 1)
    told.give(committer, "b")
    store.gate.set()
    await until(lambda: len(told) == 2)
    assert store.batches == [["a"], ["b"]]


async def test_while_the_store_is_away_nobody_waits_for_more_than_one_write(store: Gated) -> None:
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    store.away = True
    told.give(committer, "1")
    await until(lambda: len(store.batches) == 1)
    told.give(committer, "2")
    store.gate.set()
    await until(lambda: len(told) == 2)
    assert store.batches == [["1"]]
    assert all(isinstance(outcome, Unavailable) for _, outcome in told)
    store.away = False
    told.give(committer, "3")
    await committer.close()
    assert isinstance(told[-1][1], Appended)


async def test_many_hear_what_became_of_theirs_in_a_few_turns_and_those_of_a_conversation_in_one(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 2)
    committer, turns = Committer(store), Turns()
    store.gate.clear()
    for number, where in enumerate("cddddefg"):
        committer.append(draft(str(number), conversation_id=where), partial(turns.told, str(number)))
    await until(lambda: len(store.batches) == 1)
    store.gate.set()
    await committer.close()
    # The second of two is of a conversation of which more follow; a quarter of the rest is less than two.
    assert turns.by_turn() == ["01234", "56", "7"]


async def test_of_very_many_a_quarter_hears_in_one_turn(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 1)
    committer, turns = Committer(store), Turns()
    store.gate.clear()
    for number in range(16):
        committer.append(
            draft(f"{number:x}", conversation_id="cdefg"[number % 5]), partial(turns.told, f"{number:x}")
        )
    await until(lambda: len(store.batches) == 1)
    store.gate.set()
    await committer.close()
    assert [len(each) for each in turns.by_turn()][:4] == [4, 3, 2, 1]
    assert "".join(turns.by_turn()) == "0123456789abcdef"


async def test_who_hears_late_of_one_write_hears_before_those_of_the_next(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_AT_ONCE", 1)
    committer, told = Committer(store), Outcomes()
    store.gate.clear()
    for where in "cdefg":
        told.give(committer, f"first {where}", where)
    await until(lambda: len(store.batches) == 1)
    for where in "gc":
        told.give(committer, f"second {where}", where)
    store.gate.set()
    await committer.close()
    assert [content for content, _ in told] == [
        *(f"first {where}" for where in "cdefg"),
        "second g",
        "second c",
    ]


class Turns:
    """In which turns of the loop something was told."""

    def __init__(self) -> None:
        self._turn = 0
        self._told: list[tuple[int, str]] = []

    def told(self, content: str, _: Appended | Exception) -> None:
        """Take what is told in this turn."""
        if not self._told or self._told[-1][0] != self._turn:
            asyncio.get_running_loop().call_soon(self._next)
        self._told.append((self._turn, content))

    def _next(self) -> None:
        self._turn += 1

    def by_turn(self) -> list[str]:
        """What was told in each turn in which something was."""
        turns = groupby(self._told, key=lambda each: each[0])
        return ["".join(content for _, content in told) for _, told in turns]


async def test_who_fails_to_hear_keeps_nobody_else_from_it(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(_outcome: Appended | Exception) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", lambda _context: None)
    committer, told = Committer(store), Outcomes()
    committer.append(draft("first", conversation_id="c"), cancelled)
    told.give(committer, "second", "c")
    told.give(committer, "third", "d")
    await committer.close()
    assert [content for content, _ in told] == ["second", "third"]


async def test_a_store_that_answers_for_some_only_has_answered_for_none(
    store: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer, told = Committer(store), Outcomes()
    with monkeypatch.context() as short:
        short.setattr(store, "append", lambda _drafts: asyncio.sleep(0, []))
        told.give(committer, "first")
        await committer.close()
    told.give(committer, "second")
    await committer.close()
    (_, failed), (_, stored) = told
    assert isinstance(failed, RuntimeError)
    assert isinstance(stored, Appended)
