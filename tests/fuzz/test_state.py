"""State and events make fresh state: who folds all events knows what a new connection reads.

Two users with two devices each do what they like, while one of the devices is away for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.commands import (
    ChangeConversation,
    Command,
    MarkUnread,
    PutConversation,
    PutMember,
    RemoveMember,
    SetArchived,
    SetMuted,
)
from messaging.domain.errors import ClientError
from tests.fuzz.budget import examples
from tests.fuzz.model import Model
from tests.fuzz.town import settled, without_errors
from tests.gateway.house import House, Process, built, until

PEOPLE = ("alice", "bob")
GROUPS = ("1", "2")
PLACES = (*GROUPS, "dm:alice:bob")
DEVICES = tuple((user_id, number) for user_id in PEOPLE for number in (1, 2))


@dataclass(frozen=True)
class Send:
    """A device says something."""

    device: int
    place: str


@dataclass(frozen=True)
class Read:
    """A device marks a message that it knows, counted back from the last; or all."""

    device: int
    place: str
    back: int | None


@dataclass(frozen=True)
class Change:
    """A device edits, deletes or reacts to a message that it knows, counted back from the last."""

    device: int
    place: str
    back: int
    what: str


@dataclass(frozen=True)
class Own:
    """A user does something with a conversation for themselves, where one of their devices is."""

    device: int
    command: Command


@dataclass(frozen=True)
class Go:
    """The device that is sometimes away goes, or comes back."""


@dataclass(frozen=True)
class Wait:
    """Everybody is told everything."""


@dataclass(frozen=True)
class Host:
    """The host application does something."""

    command: Command


Action = Send | Read | Change | Own | Go | Wait | Host

devices, places, groups = st.integers(0, 3), st.sampled_from(PLACES), st.sampled_from(GROUPS)
people = st.sampled_from(PEOPLE)
sends = st.builds(Send, devices, places)
reads = st.builds(Read, devices, places, st.none() | st.integers(0, 3))
kinds = ("edit-message", "delete-message", "add-reaction", "add-reaction", "remove-reaction")
changes = st.builds(Change, devices, places, st.integers(0, 4), st.sampled_from(kinds))
owns = st.builds(
    Own,
    devices,
    st.one_of(
        st.builds(SetArchived, conversation_id=places, archived=st.booleans()),
        st.builds(SetMuted, conversation_id=places, muted=st.booleans()),
        st.builds(MarkUnread, conversation_id=places),
    ),
)
actions: st.SearchStrategy[Action] = st.one_of(
    sends,
    sends,
    reads,
    reads,
    changes,
    changes,
    owns,
    owns,
    st.builds(Go),
    st.builds(Wait),
    st.builds(
        Host,
        st.one_of(
            st.builds(ChangeConversation, conversation_id=groups, name=st.sampled_from(["A", "B"])),
            st.builds(PutMember, conversation_id=groups, user_id=people),
            st.builds(RemoveMember, conversation_id=groups, user_id=people),
        ),
    ),
)


class Play:
    """Four devices, of which the last may be away, and what each thinks the world looks like."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.models: list[Model] = []
        self.away = False
        self.edits = 0

    def process(self, device: int) -> Process:
        """Where a device connects: the two of a user are not at the same place where there are two."""
        return self.house.processes[device % len(self.house.processes)]

    async def begin(self) -> None:
        """Groups, people, and all four devices with all that there is."""
        for group in GROUPS:
            await self.house.one.do(PutConversation(conversation_id=group, member_ids=PEOPLE))
        for number, (user_id, _) in enumerate(DEVICES):
            model = Model(await self.process(number).connect(user_id))
            await model.read_all()
            self.models.append(model)

    @property
    def here(self) -> Sequence[Model]:
        """The devices that are connected."""
        return self.models[:-1] if self.away else self.models

    async def take(self, action: Action) -> None:
        """Do it, if it can be done."""
        match action:
            case Send(device=device, place=place) if device < len(self.here):
                await self.models[device].client.say(place)
            case Read(device=device, place=place, back=back) if device < len(self.here):
                await self.read(self.models[device], place, back)
            case Change(device=device) if device < len(self.here):
                await self.change(self.models[device], action)
            case Own(device=device, command=command):
                try:
                    await self.process(device).do(command, user_id=DEVICES[device][0])
                except ClientError:
                    pass
            case Go():
                await self.go()
            case Wait():
                await self.all_told()
            case Host(command=command):
                try:
                    await self.house.one.do(command)
                except ClientError:
                    pass
            case _:
                pass
        await self.join_what_is_new()

    async def read(self, model: Model, place: str, back: int | None) -> None:
        """Mark a message or all."""
        model.fold()
        known = sorted(model.messages.get(place, {}))
        if back is None:
            await model.client.call("mark-conversation-as-read", conversationId=place)
        elif known:
            message = model.messages[place][known[-1 - back % len(known)]]
            await model.client.call("mark-as-read", messageId=message["id"])

    async def change(self, model: Model, change: Change) -> None:
        """Ask for it; what may not be is refused."""
        model.fold()
        known = sorted(model.messages.get(change.place, {}))
        if known:
            message = model.messages[change.place][known[-1 - change.back % len(known)]]
            self.edits += 1
            words = {"content": f"edit {self.edits}", "emoji": "👍🎉"[self.edits % 2]}
            await model.client.call(change.what, messageId=message["id"], **words)

    async def go(self) -> None:
        """The last device goes, or comes back and catches up."""
        last = len(DEVICES) - 1
        if not self.away:
            self.models[last].fold()
            self.models[last].client.leave()
        else:
            back = Model(await self.process(last).connect(DEVICES[last][0]))
            await back.come_back(self.models[last])
            self.models[last] = back
        self.away = not self.away

    async def join_what_is_new(self) -> None:
        """Devices hear of a conversation, and join it."""
        for model in self.here:
            model.fold()
            for conversation_id in sorted(set(model.conversations) - model.joined):
                await model.join(conversation_id)

    async def all_told(self) -> None:
        """Wait until nothing more is on its way."""
        await asyncio.sleep(0.002)  # what one process told the other is under way
        for process in self.house.processes:
            await until(lambda process=process: not vars(process.gateway.tasks)["_running"])  # type: ignore[misc]
            followers = process.gateway.hub.followers
            await until(lambda followers=followers: not any(vars(f)["_timer"] for f in followers.values()))  # type: ignore[misc]
        for model in self.here:
            await settled(model.client)
            model.fold()

    async def compare(self) -> None:
        """Each device knows what a new one of its user reads."""
        await self.all_told()
        await self.join_what_is_new()
        await self.all_told()
        for number, model in enumerate(self.here):
            fresh = Model(await self.process(number).connect(model.client.user_id))
            await fresh.read_all()
            assert model.conversations == fresh.conversations
            assert model.total == fresh.total == fresh.client.of("unread-count-updated")[0]["totalUnread"]
            assert model.mine == fresh.mine
            heard = [key for key, seen in fresh.mine.items() if not seen["muted"]]
            assert model.total == sum(fresh.unread[key] or 0 for key in heard)
            told = {key: count for key, count in model.unread.items() if count is not None}
            assert told == {key: count for key, count in fresh.unread.items() if key in told}
            assert model.messages == fresh.messages
            fresh.client.leave()


@pytest.mark.parametrize("processes", [1, 2], ids=["one process", "two processes"])
@examples(40)
@given(done=st.lists(actions, max_size=30))
async def test_state_and_events_make_fresh_state(processes: int, done: list[Action]) -> None:
    with without_errors():
        async with built(processes=processes, grace_seconds=0.01) as house:
            play = Play(house)
            await play.begin()
            for action in done:
                await play.take(action)
            if play.away:
                await play.go()
            await play.compare()
