"""A client that lost its connection goes on where it stopped, if it can have all that it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import pytest

from messaging.domain.commands import DeleteConversation, PutConversation, RemoveMember
from messaging.domain.errors import Unavailable
from messaging.domain.models import Recovery
from messaging.domain.pages import End
from messaging.gateway import recoveries as module
from messaging.gateway.farewell import LEFT, LOST, SHUTDOWN, UNSIGNED, Farewell
from messaging.gateway.offset import Trail, mark_of, point, read
from messaging.stores.sqlite import SqliteStore
from tests.gateway.house import Client, House, built, until

NEW = ("", None)


async def grouped(house: House, *groups: str) -> None:
    """Groups of ann and bob."""
    for group in groups:
        await house.one.do(PutConversation(conversation_id=group, member_ids=("ann", "bob")))


def offset_at(client: Client, **seqs: int) -> str:
    """An offset of this client that stands at these messages."""
    assert client.session.comeback is not None
    trail = Trail(client.session.comeback.pid[0])
    for group, seq in seqs.items():
        trail.reach(point(group, mark_of(group), seq, 0))
    return trail.offset


async def test_a_client_hears_what_it_missed_and_then_what_is_live() -> None:
    async with built(processes=2) as house:
        await grouped(house, "c", "d")
        ann = await house.one.connect("ann")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        await bob.join("d")
        await ann.say("c")
        bob.close(LOST)
        for group in ("c", "d", "c"):
            await ann.say(group)
        again = await house.other.connect("bob", back=bob.back)
        assert again.recovered
        assert again.rooms == {"c", "d"}
        await ann.say("d")
        await until(lambda: len(again.messages) == 4)
        assert [each["seq"] for each in again.of("new-message") if each["conversationId"] == "c"] == [2, 3]
        assert [each["seq"] for each in again.of("new-message") if each["conversationId"] == "d"] == [1, 2]
        last, expected = read(again.offsets[-1]), read(offset_at(again, c=3, d=2))
        assert last is not None
        assert expected is not None
        assert last.reached == expected.reached


@pytest.mark.parametrize(
    ("farewell", "whole"), [(LOST, True), (SHUTDOWN, True), (LEFT, False), (UNSIGNED, False)]
)
async def test_nobody_comes_back_after_a_goodbye(farewell: Farewell, whole: bool) -> None:
    async with built() as house:
        await grouped(house, "c")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        bob.close(farewell)
        assert (await house.one.connect("bob", back=bob.back)).recovered is whole


class Slow(SqliteStore):
    """A store that keeps what a client comes back to when it is let."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.may = asyncio.Event()
        self.may.set()
        self.looks = 0

    async def keep_recoveries(self, recoveries: Sequence[Recovery]) -> Collection[str]:
        """As Store.keep_recoveries."""
        await self.may.wait()
        return await super().keep_recoveries(recoveries)

    async def ends(self, after: Mapping[str, int | None]) -> Mapping[str, End]:
        """As Store.ends."""
        self.looks += 1
        return await super().ends(after)


async def test_who_goes_to_another_conversation_is_let_in_while_leaving_is_kept() -> None:
    store = Slow()
    async with built(store=store) as house:
        await grouped(house, "c", "d")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        store.may.clear()
        left = await bob.emit("leave-conversation", conversationId="c")
        looks = store.looks
        joined = await bob.emit("join-conversation", conversationId="d")
        await until(lambda: store.looks > looks)
        assert not {left, joined} & set(bob.names), "nothing is answered that may yet be forgotten"
        store.may.set()
        await until(lambda: joined in bob.names)
        assert bob.names.index(left) < bob.names.index(joined)
        bob.close(LOST)
        assert (await house.one.connect("bob", back=bob.back)).rooms == {"d"}


async def test_what_cannot_be_had_whole_is_not_had_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MISSED", 3)
    async with built() as house:
        await grouped(house, "c", "d")
        ann = await house.one.connect("ann")

        async def lost() -> Client:
            bob = await house.one.connect("bob", back=NEW)
            await bob.join("c")
            await bob.join("d")
            bob.close(LOST)
            return bob

        bob = await lost()
        for group in "ccdd":
            await ann.say(group)
        again = await house.one.connect("bob", back=bob.back)
        assert not again.recovered, "too much was missed"
        assert again.messages == []
        assert again.rooms == set()
        assert not (await house.one.connect("bob", back=bob.back)).recovered, "nor later"
        bob = await lost()
        for offset in (offset_at(bob, c=99), "b", "rubbish"):
            assert not (await house.one.connect("bob", back=(bob.back[0], offset))).recovered
        bob = await lost()
        await house.one.do(RemoveMember(conversation_id="c", user_id="bob"))
        assert not (await house.one.connect("bob", back=bob.back)).recovered, "removed from one"
        await grouped(house, "c")
        bob = await lost()
        await house.one.do(DeleteConversation(conversation_id="d"))
        assert not (await house.one.connect("bob", back=bob.back)).recovered, "one is gone"


async def test_reads_that_were_missed_are_told_once_and_after_the_messages_that_they_are_of() -> None:
    async with built(processes=2) as house:
        await grouped(house, "c", "d")
        ann = await house.one.connect("ann")
        bob = await house.one.connect("bob", back=NEW)
        sent = []
        for group in ("c", "d"):
            await bob.join(group)
            sent.append((await bob.say(group, "of bob"))["message"]["id"])
        await ann.call("mark-as-read", messageId=sent[0])
        await until(lambda: bob.of("message-read"))
        assert [each["messageId"] for each in bob.of("message-read")] == sent[:1]
        bob.close(LOST)
        await ann.call("mark-as-read", messageId=sent[1])
        own = (await ann.say("c", "of ann"))["message"]["id"]
        desk = await house.one.connect("bob")
        await desk.call("mark-as-read", messageId=own)
        second = await house.other.connect("bob", back=bob.back)
        assert second.recovered
        told = [
            (name, payload.get("messageId") or payload["id"])
            for name, payload in second.heard
            if "new" in name or ("read" in name and "un" not in name)
        ]
        assert told == [("new-message", own), ("message-read", sent[1]), ("message-read", own)]
        second.close(LOST)
        third = await house.one.connect("bob", back=second.back)
        assert third.recovered
        assert third.of("message-read") == [], "nobody read anything since"
        third.close(LOST)
        again = (await ann.say("d", "more"))["message"]["id"]
        await desk.call("mark-as-read", messageId=again)
        fourth = await house.other.connect("bob", back=second.back)
        assert [each["messageId"] for each in fourth.of("message-read")] == [again]


async def test_changes_that_were_missed_are_told_in_their_order() -> None:
    async with built(processes=2) as house:
        await grouped(house, "c")
        ann = await house.one.connect("ann")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        ids = [(await ann.say("c", f"{number}"))["message"]["id"] for number in range(3)]
        await ann.call("edit-message", messageId=ids[0], content="seen")
        await until(lambda: bob.of("message-edited"))
        bob.close(LOST)
        await ann.call("edit-message", messageId=ids[1], content="edited")
        await ann.call("delete-message", messageId=ids[2])
        late = (await ann.say("c", "late"))["message"]["id"]
        await ann.call("edit-message", messageId=late, content="late, and edited")
        await ann.call("add-reaction", messageId=ids[0], emoji="👍")
        again = await house.other.connect("bob", back=bob.back)
        assert again.recovered
        [new] = again.of("new-message")
        assert (new["id"], new["content"]) == (late, "late, and edited")
        changes = [
            (name, payload.get("messageId") or payload["id"])
            for name, payload in again.heard
            if name.startswith(("message-", "reaction-"))
        ]
        assert changes == [
            ("message-edited", ids[1]),
            ("message-deleted", ids[2]),
            ("reaction-updated", ids[0]),
        ]
        await ann.call("edit-message", messageId=late, content="live")
        await until(lambda: len(again.of("message-edited")) == 2)
        again.close(LOST)
        third = await house.one.connect("bob", back=again.back)
        assert third.recovered
        assert [name for name in third.names if name != "unread-count-updated"] == []


async def test_an_offset_of_an_earlier_pid_is_told_from_one_of_this() -> None:
    async with built() as house:
        await grouped(house, "c")
        ann = await house.one.connect("ann")
        first = await house.one.connect("bob", back=NEW)
        await first.join("c")
        await ann.say("c", "one")
        first.close(LEFT)
        # The client has another pid now, and has heard nothing under it: it still brings the old offset.
        second = await house.one.connect("bob", back=first.back)
        assert not second.recovered
        pid, stale = second.back[0], first.back[1]
        assert stale is not None
        assert pid[0] != stale[0]
        await second.emit("join-conversation", conversationId="c", limit=50)
        await until(lambda: not second.session.busy)
        second.close(LOST)
        await ann.say("c", "two")
        third = await house.one.connect("bob", back=(pid, stale))
        assert third.recovered
        assert third.messages == [1, 2], "the history that it joined with, and what came since"


async def test_who_is_back_ends_what_is_left_of_the_old_connection() -> None:
    async with built(processes=2) as house:
        await grouped(house, "c")
        half_alive = await house.one.connect("bob", back=NEW)
        await half_alive.join("c")
        here = await house.one.connect("bob", back=half_alive.back)
        assert here.recovered
        assert half_alive.farewell is LOST
        there = await house.other.connect("bob", back=here.back)
        assert there.recovered
        await here.emit("leave-conversation", conversationId="c")  # what the old one still says is nothing
        await until(lambda: here.farewell is LOST)
        here.close(LEFT)
        last = await house.one.connect("bob", back=there.back)
        assert last.recovered
        assert last.rooms == {"c"}
        await house.other.gateway.recoveries.extend()
        assert there.farewell is LOST


async def test_what_has_expired_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async with built() as house:
        await grouped(house, "c")
        monkeypatch.setattr(module, "LIFE", timedelta(seconds=-1))
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        bob.close(LOST)
        assert not (await house.one.connect("bob", back=bob.back)).recovered


async def test_who_joins_too_much_hears_all_of_it_and_cannot_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_JOINS", 1)
    async with built() as house:
        await grouped(house, "c", "d")
        ann = await house.one.connect("ann")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        await bob.join("d")
        await ann.say("d")
        assert bob.messages == [1]
        assert len(bob.frames[-1]) == 2, "no offset any more"
        bob.close(LOST)
        assert not (await house.one.connect("bob", back=bob.back)).recovered


async def test_a_client_is_not_let_in_anew_while_the_storage_is_away() -> None:
    store = SqliteStore(":memory:")
    async with built(store=store) as house:
        await grouped(house, "c")
        bob = await house.one.connect("bob", back=NEW)
        await bob.join("c")
        bob.close(LOST)
        await store.close()
        with pytest.raises(Unavailable):
            await house.one.gateway.recoveries.welcome(
                "bob", "messaging", "sid", pid=bob.back[0], offset=bob.back[1]
            )
        await store.open()
