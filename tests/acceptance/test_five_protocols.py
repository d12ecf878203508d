"""People on five protocols and REST talk to one another, and see who is there, whatever they use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.sockets import Sockets
from tests.acceptance.stage import Json, Stage, call, eventually, new_id
from tests.clients import NodeClient
from tests.servers import ServerProcess
from tests.websockets import Socket

NAMES = ("messaging", "chat", "ws-chat", "unified", "rooms")
SENDERS = (*NAMES, "REST")


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production."""
    if request.param == "SQLite":
        return service({})
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service(production, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message, as every protocol tells it in its own way."""

    id: str
    seq: int
    sender: str
    content: str
    place: str
    """The id of a group or room, `direct` for the rest."""


@dataclass(slots=True, kw_only=True)
class Person:
    """A user on one protocol."""

    name: str
    user: str
    stage: Stage
    client: NodeClient | None = None
    socket: Socket | None = None

    # --- talking ---

    async def enter(self, place: str) -> None:
        """Hear a conversation from here on, where that is needed."""
        if self.name == "messaging":
            await call(self._client, "join-conversation", conversationId=place, limit=0)
        elif self.name == "chat":
            await call(self._client, "conversation:join", conversationId=place)
        elif self.name == "ws-chat":
            await self._socket.ask("join_room", room=place)
        elif self.name == "rooms":
            await self._socket.ask("join", room=place)

    async def say(self, place: str, content: str) -> None:
        """Send to a group or room."""
        match self.name:
            case "messaging":
                await call(self._client, "send-message", conversationId=place, content=content)
            case "chat":
                await call(self._client, "message:send", conversationId=place, content=content)
            case "ws-chat":
                await self._socket.do("room_message", room=place, content=content)
            case "unified":
                await self._socket.do("group_message", group_id=place, content=content)
            case _:
                await self._socket.do("message", room=place, content=content)

    async def say_to(self, user: str, content: str) -> None:
        """Send to a user."""
        match self.name:
            case "messaging":
                await call(
                    self._client, "send-message", conversationId=direct(self.user, user), content=content
                )
            case "chat":
                await call(
                    self._client, "message:send", conversationId=direct(self.user, user), content=content
                )
            case "ws-chat":
                await self._socket.do("direct_message", to_user_id=user, content=content)
            case "unified":
                await self._socket.do("chat_message", meta={"target_id": user}, content=content)
            case _:
                await self._socket.do("dm", to=user, content=content)

    def heard(self) -> list[Heard]:
        """All messages so far."""
        match self.name:
            case "messaging":
                return [self._of_messaging(seen.data) for seen in self._client.events("new-message")]
            case "chat":
                return [
                    self._of_messaging(seen.data["message"]) for seen in self._client.events("message:new")
                ]
            case "ws-chat":
                return [
                    Heard(
                        id=str(told["id"]),
                        seq=told["seq"],
                        sender=str(told.get("user_id", told.get("from_user_id"))),
                        content=told["content"],
                        place=told.get("room", "direct"),
                    )
                    for told in (*self._socket.all("room_message"), *self._socket.all("direct_message"))
                ]
            case "unified":
                frames = [f for f in self._socket.frames if f["type"] in ("group_message", "chat_message")]
                return [
                    Heard(
                        id=str(frame["payload"]["message_id"]),
                        seq=frame["payload"]["seq"],
                        sender=str(frame["meta"]["sender_id"]),
                        content=frame["payload"]["content"],
                        place=str(frame["payload"].get("group_id", "direct")),
                    )
                    for frame in frames
                ]
            case _:
                return [
                    Heard(
                        id=told["id"],
                        seq=told["seq"],
                        sender=told["from"],
                        content=told["content"],
                        place=told.get("room", "direct"),
                    )
                    for told in (*self._socket.all("message"), *self._socket.all("dm"))
                ]

    def _of_messaging(self, told: Json) -> Heard:
        place = str(told["conversationId"])
        return Heard(
            id=str(told["id"]),
            seq=told["seq"],
            sender=str(told["senderId"]),
            content=told["content"],
            place="direct" if place.startswith("dm:") else place,
        )

    # --- presence ---

    def presence(self, user: str) -> list[bool]:
        """Whether the user was told to be online, each time that it was told."""
        match self.name:
            case "messaging" | "chat":
                online, offline = (
                    ("user-online", "user-offline")
                    if self.name == "messaging"
                    else ("user:online", "user:offline")
                )
                return [
                    seen.name == online
                    for seen in self._client.events()
                    if seen.name in (online, offline) and str(seen.data["userId"]) == user
                ]
            case "ws-chat":
                seen = self._socket.all("status")
                return [each["status"] != "offline" for each in seen if str(each["user_id"]) == user]
            case "unified":
                seen = self._socket.all("status_update")
                return [each["status"] != "offline" for each in seen if str(each["user_id"]) == user]
            case _:
                return [each["online"] for each in self._socket.all("status") if each["user"] == user]

    async def close(self) -> None:
        """Leave."""
        await (self.client or self._socket).close()

    @property
    def _client(self) -> NodeClient:
        assert self.client is not None
        return self.client

    @property
    def _socket(self) -> Socket:
        assert self.socket is not None
        return self.socket


def direct(*users: str) -> str:
    """The id of the conversation of two users."""
    one, other = sorted(users)
    return f"dm:{one}:{other}"


async def person(sockets: Sockets, name: str, user: str, process: int = 0) -> Person:
    """This user on this protocol."""
    made = Person(name=name, user=user, stage=sockets.stage)
    process %= len(sockets.stage.servers)
    match name:
        case "messaging":
            made.client = await sockets.stage.messaging(user, process=process)
        case "chat":
            made.client = await sockets.stage.chat(user, process=process)
        case "ws-chat":
            made.socket = await sockets.ws_chat(user, process=process)
        case "unified":
            made.socket = await sockets.unified(user, process=process)
        case _:
            made.socket = await sockets.rooms(user, process=process)
    return made


async def everybody(sockets: Sockets, *users: str) -> list[Person]:
    """One user on each protocol, or all protocols for one user; on the processes in turn."""
    whose = users * len(NAMES) if len(users) == 1 else users
    return [
        await person(sockets, name, user, process)
        for process, (name, user) in enumerate(zip(NAMES, whose, strict=True))
    ]


async def hear_all(people: list[Person], contents: list[str], *, place: str) -> None:
    """Each has heard these messages, all the same ones, each once and in the order of their numbers."""

    async def complete() -> bool:
        return all(len([h for h in p.heard() if h.content in contents]) >= len(contents) for p in people)

    await eventually(complete)
    expected = sorted(people[0].heard(), key=lambda heard: heard.seq)
    assert sorted(heard.content for heard in expected) == sorted(contents)
    assert {heard.place for heard in expected} == {place}
    for each in people:
        assert each.heard() == expected, each.name


# --- messages ----------------------------------------------------------------------------------------


async def test_in_a_group_each_sends_and_all_five_hear(sockets: Sockets) -> None:
    users = [new_id() for _ in NAMES]
    group = await sockets.stage.group(*users)
    people = await everybody(sockets, *users)
    for each in people:
        await each.enter(group)
    for each in people:
        await each.say(group, f"from {each.name}")
    await sockets.stage.post(users[0], group, "from REST")
    await hear_all(people, [f"from {name}" for name in SENDERS], place=group)
    senders = {heard.content: heard.sender for heard in people[0].heard()}
    assert senders == {
        **{f"from {each.name}": each.user for each in people},
        "from REST": users[0],
    }


async def test_in_a_public_room_each_sends_and_all_hear_who_can_join_it(sockets: Sockets) -> None:
    users, room = [new_id() for _ in NAMES], f"salon-{new_id()}"
    people = await everybody(sockets, *users)
    await people[-1].enter(room)  # which makes it
    for each in people[:-1]:
        await each.enter(room)
    for each in people:
        await each.say(room, f"from {each.name}")
    await sockets.stage.post(users[0], room, "from REST")
    listeners = [each for each in people if each.name != "unified"]
    await hear_all(listeners, [f"from {name}" for name in SENDERS], place=room)
    unified = people[NAMES.index("unified")]  # has no rooms to join: it hears that its own was stored
    await eventually(lambda: _true(len(unified.heard()) == 1))
    assert unified.heard()[0].sender == unified.user


async def test_between_two_each_sends_and_all_devices_of_both_hear(sockets: Sockets) -> None:
    alice, bob = new_id(), new_id()
    hers, his = await everybody(sockets, alice), await everybody(sockets, bob)
    beginning = next(each for each in hers if each.name == "rooms")
    await beginning.say_to(bob, "begun")
    unasked = [each for each in (*hers, *his) if each.name not in ("messaging", "chat")]
    for each in unasked:
        await eventually(lambda e=each: _true(len(e.heard()) == 1))  # type: ignore[misc]
    late = [each for each in (*hers, *his) if each.name in ("messaging", "chat")]
    for each in late:
        await each.enter(direct(alice, bob))
    for each in hers:
        await each.say_to(bob, f"hers from {each.name}")
    for each in his:
        await each.say_to(alice, f"his from {each.name}")
    await sockets.stage.post(alice, direct(alice, bob), "from REST")
    contents = [f"{whose} from {name}" for whose in ("hers", "his") for name in NAMES] + ["from REST"]
    await hear_all(late, contents, place="direct")
    await hear_all(unasked, ["begun", *contents], place="direct")


async def test_while_all_talk_at_once_all_hear_the_same_in_one_order(sockets: Sockets) -> None:
    users = [new_id() for _ in NAMES]
    group = await sockets.stage.group(*users)
    people = await everybody(sockets, *users)
    for each in people:
        await each.enter(group)

    async def talk(each: Person) -> None:
        for number in range(20):
            await each.say(group, f"{each.name} {number}")

    await asyncio.gather(*(talk(each) for each in people))
    await hear_all(people, [f"{name} {number}" for name in NAMES for number in range(20)], place=group)
    assert [heard.seq for heard in people[0].heard()] == list(range(1, 101))


# --- presence ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A user with contacts on all protocols, who share two groups and a direct conversation with them."""

    user: str
    watchers: list[Person]
    markers: list[str]
    """Contacts of the watchers who have not been here yet; one for each process."""

    async def changes(self, act: Callable[[], Awaitable[Any]]) -> dict[str, list[bool]]:
        """What each protocol tells of the user while something happens, until a marker has come after."""
        before = {each.name: len(each.presence(self.user)) for each in self.watchers}
        await act()
        for process, marker in enumerate(self.markers):  # each process tells in its own order
            await self.watchers[0].stage.messaging(marker, process=process)
            for each in self.watchers:
                await told(each, marker, online=True)
        return {each.name: each.presence(self.user)[before[each.name] :] for each in self.watchers}

    async def told(self, *, online: bool) -> None:
        """Wait until all were last told this of the user."""
        for each in self.watchers:
            await told(each, self.user, online=online)


@pytest.fixture
async def watched(sockets: Sockets) -> Watched:
    """Everybody but the user is here."""
    users, bob = [new_id() for _ in NAMES], new_id()
    markers = [new_id() for _ in sockets.stage.servers]
    await sockets.stage.group(*users, bob)
    await sockets.stage.group(*users, bob)
    for marker in markers:
        await sockets.stage.group(*users, marker)
    for user in users:
        await sockets.stage.post(user, direct(user, bob), "hello")
    return Watched(user=bob, watchers=await everybody(sockets, *users), markers=markers)


async def told(watcher: Person, user: str, *, online: bool) -> None:
    """Wait until this is the last that the watcher was told of the user."""
    await eventually(lambda: _true(watcher.presence(user)[-1:] == [online]))


async def _true(value: bool) -> bool:
    return value


def on_all(*told: bool) -> dict[str, list[bool]]:
    """The same on all protocols."""
    return {name: list(told) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
async def test_coming_and_going_on_any_protocol_is_told_once_on_all(
    sockets: Sockets, watched: Watched, name: str
) -> None:
    async def come_and_go() -> None:
        his = await person(sockets, name, watched.user, process=1)
        await watched.told(online=True)
        await his.close()
        await watched.told(online=False)

    assert await watched.changes(come_and_go) == on_all(True, False)


async def test_who_changes_from_protocol_to_protocol_was_never_away(
    sockets: Sockets, watched: Watched
) -> None:
    here = await person(sockets, NAMES[0], watched.user)
    await watched.told(online=True)

    async def move() -> None:
        nonlocal here
        for process, name in enumerate((*NAMES[1:], NAMES[0])):
            await here.close()
            here = await person(sockets, name, watched.user, process=process)

    assert await watched.changes(move) == on_all()


async def test_who_is_invisible_is_seen_nowhere(sockets: Sockets, watched: Watched) -> None:
    stage, bob = sockets.stage, watched.user
    his = await sockets.unified(bob)
    await watched.told(online=True)
    messaging, chat, ws_chat, unified, rooms = watched.watchers
    group = await stage.group(bob, *(each.user for each in watched.watchers))
    room = f"salon-{new_id()}"
    await rooms.enter(room)
    for each in (messaging, chat, ws_chat):
        await each.enter(room)
    hidden: list[Person] = []

    async def hide_come_and_go() -> None:
        await his.do("status_update", status="offline")
        await watched.told(online=False)
        hidden.extend([await person(sockets, name, bob, process) for process, name in enumerate(NAMES)])
        for each in hidden:
            await each.enter(room)
        await his.close()
        for each in hidden:
            await each.close()
        hidden[:] = [await person(sockets, name, bob, process) for process, name in enumerate(NAMES)]
        for each in hidden:
            await each.enter(room)

    assert await watched.changes(hide_come_and_go) == on_all(False)
    assert ws_chat.socket is not None
    assert int(bob) not in ws_chat.socket.all("user_connected", "user_id")
    assert messaging.client is not None
    assert chat.client is not None
    for place in (group, room):
        listed = await call(messaging.client, "list-online-users", conversationId=place)
        assert bob not in listed["onlineUsers"]
        listed = await call(chat.client, "conversation:users:online", conversationId=place)
        assert int(bob) not in listed["onlineUsers"]
        assert rooms.socket is not None
        assert bob not in (await rooms.socket.ask("join", room=place))["online"]
    assert int(bob) not in (await sockets.unified(unified.user)).all("status_update", "user_id")
    for process in range(len(stage.servers)):
        seen = await stage.rest("GET", f"/api/users/{bob}/status", user=rooms.user, process=process)
        assert (seen.body["status"], seen.body["online"]) == ("offline", False)
