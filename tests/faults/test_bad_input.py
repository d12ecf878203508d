"""Bad input: whatever is wrong with a payload, it is refused by its code, ends nothing and stores nothing.

The commands and routes come from the tables of the dialects, so none can be forgotten; the server is the real
program, on both stores. At the end nothing in its log is what anybody wrote, or a token.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pymongo
import pytest
from yarl import URL

from messaging.dialects import DIALECTS
from messaging.dialects.namespace import Namespace, Row
from messaging.dialects.rest import Route
from messaging.dialects.routes import ROUTES
from scripts.chaos_harness.by_hand import Client, Gone
from scripts.chaos_harness.people import ENVIRONMENT, Crowd, crowd, token
from tests.conftest import Serve
from tests.faults import nonsense
from tests.servers import MongoServer, RedisServer, ServerProcess

AT_ONCE = 50
# Nobody goes while it is compared what was stored: that would be stored, too.
QUIET = {"PRESENCE_GRACE_SECONDS": "3600"}
SPACES = {name: d for name, d in DIALECTS.items() if isinstance(d, Namespace)}
namespaces = pytest.mark.parametrize("namespace", [f"/{name}" for name in SPACES])
NO_PACKETS = [
    *("42{ns},[", "42{ns},{{}}", "42{ns},[]", "42{ns},", "49{ns},[1]", "43{ns},[]", "x", "4", ""),
    '451-{ns},["a",{{"_placeholder":true,"num":0}}]42',
    '4599-{ns},["a"]',
    "42{ns}," + "x" * 70_000,
]
GOOD = {"/messaging": "load-history", "/chat": "conversation:history"}
SEND = {"/messaging": "send-message", "/chat": "message:send"}


@dataclass
class Place:
    """A server in which ann has a conversation 1 with one message, and how to look into its store."""

    server: ServerProcess
    people: Crowd
    mongodb_uri: str | None

    def content(self) -> object:
        """All that is stored, but for where connections stood."""
        if self.mongodb_uri is not None:
            return mongodb_content(self.mongodb_uri)
        (path,) = (self.server.folder / "data").glob("*.db")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return [line for line in database.iterdump() if not line.startswith('INSERT INTO "recoveries"')]


def mongodb_content(uri: str) -> object:
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        names = sorted(set(database.list_collection_names()) - {"recoveries"})
        return {name: list(database[name].find().sort("_id")) for name in names}


@pytest.fixture
async def place(serve: Serve) -> AsyncIterator[Place]:
    """On SQLite."""
    async with opened(serve(ENVIRONMENT | QUIET), None) as opened_place:
        yield opened_place


@pytest.fixture
async def each_place(serve: Serve, environment: dict[str, str]) -> AsyncIterator[Place]:
    """On both stores."""
    async with opened(serve(environment | QUIET), environment.get("MONGODB_URI")) as opened_place:
        yield opened_place


@asynccontextmanager
async def opened(server: ServerProcess, mongodb_uri: str | None) -> AsyncIterator[Place]:
    async with crowd(server.url) as people:
        await people.group("1", "ann", "bob")
        client = await people.connect("ann")
        assert (await client.ask("send-message", {"conversationId": "1", "content": "first"}))["success"]
        await client.close()
        yield Place(server, people, mongodb_uri)


async def refused(client: Client, texts: Iterable[str], *codes: str) -> None:
    """Emit all of these; each is acked as refused with one of the codes."""
    waiting = list(texts)
    for start in range(0, len(waiting), AT_ONCE):
        part = waiting[start : start + AT_ONCE]
        acks = await asyncio.gather(*(client.ask_raw(text) for text in part))
        for text, ack in zip(part, acks, strict=True):
            assert ack["success"] is False, text[:300]
            assert ack["code"] in codes, (text[:300], ack)
            assert set(ack) == {"success", "message", "code", "details"}


async def works(client: Client, namespace: str) -> None:
    """A good command on the same connection is carried out."""
    ack = await client.ask(GOOD[namespace], {"conversationId": "1"})
    assert [message["content"] for message in ack["messages"]] == ["first"]


# --- sockets -----------------------------------------------------------------------------------------


def events(row: Row[Any]) -> list[str]:
    return [f'["{row.name}",{payload}]' for payload in nonsense.payloads(row)]


async def test_wrong_payloads_of_every_command_are_refused_and_store_nothing(each_place: Place) -> None:
    before = each_place.content()
    for namespace, dialect in SPACES.items():
        client = await each_place.people.connect("ann", namespace=f"/{namespace}")
        for row in dialect.rows.values():
            texts = events(row) + ([] if row.form.needs_nothing else [f'["{row.name}"]'])
            await refused(client, texts, "INVALID_FORMAT")
            await works(client, f"/{namespace}")
        await client.close()
    assert each_place.content() == before


@namespaces
async def test_what_is_no_command_is_refused_and_ends_nothing(place: Place, namespace: str) -> None:
    before = place.content()
    client = await place.people.connect("ann", namespace=namespace)
    good = '{"conversationId":"1","content":"x"}'
    names = [f'"{name}"' for name in nonsense.NAMES]
    await refused(client, [f"[{name},{good}]" for name in (*names, *nonsense.NO_NAMES)], "INVALID_FORMAT")
    await refused(client, [f"[{name}]" for name in (*names, *nonsense.NO_NAMES)], "INVALID_FORMAT")
    await works(client, namespace)
    await client.close()
    assert place.content() == before


@namespaces
async def test_well_formed_commands_that_cannot_be_carried_out_have_their_own_codes(
    place: Place, namespace: str
) -> None:
    before = place.content()
    client = await place.people.connect("ann", namespace=namespace)
    send = SEND[namespace]
    here: dict[str, object] = {"conversationId": "1"}
    cases: list[tuple[str, dict[str, object], str]] = [
        (send, here, "INVALID_FORMAT"),
        (send, here | {"content": " \n\t "}, "INVALID_FORMAT"),
        (send, here | {"content": "x" * 4_001}, "MESSAGE_TOO_LONG"),
        (send, here | {"content": "💬" * 4_001}, "MESSAGE_TOO_LONG"),
        (send, here | {"content": "x" * 60_000}, "MESSAGE_TOO_LONG"),
        (send, here | {"content": "x", "replyTo": 1}, "MESSAGE_NOT_FOUND"),
        (send, {"conversationId": "2", "content": "x"}, "ROOM_NOT_FOUND"),
        (send, {"conversationId": "dm:ann:nobody", "content": "x"}, "USER_NOT_FOUND"),
        (send, {"conversationId": "dm:bob:carl", "content": "x"}, "ROOM_NOT_FOUND"),
        (GOOD[namespace], here | {"before": 1, "after": 1}, "INVALID_FORMAT"),
        ("authenticate", {"token": "no.token.atall"}, "AUTH_FAILED"),
        ("authenticate", {"token": token("bob")}, "AUTH_FAILED"),
    ]
    for name, payload, code in cases:
        await refused(client, [orjson.dumps([name, payload]).decode()], code)
        await works(client, namespace)
    await client.close()
    assert place.content() == before


@namespaces
async def test_binary_packets_are_refused_and_end_nothing(place: Place, namespace: str) -> None:
    before = place.content()
    client = await place.people.connect("ann", namespace=namespace)
    for ack, at in enumerate(('{"_placeholder":true,"num":0}', "{}", "[1]")):
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        client.expect(1_000 + ack, heard)
        await client.carrier.send(f'451-{namespace},{1_000 + ack}["{SEND[namespace]}",{at}]')
        await client.carrier.send(b"\x00\xff" * 100)
        assert (await asyncio.wait_for(heard, 5))["code"] == "INVALID_FORMAT"
    await works(client, namespace)
    await client.close()
    assert place.content() == before


@namespaces
async def test_further_arguments_and_keys_are_ignored(place: Place, namespace: str) -> None:
    client = await place.people.connect("ann", namespace=namespace)
    payload = '{"conversationId":"1","$where":"1","__proto__":{"admin":true},"senderId":"bob","limit":1000}'
    ack = await client.ask_raw(f'["{GOOD[namespace]}",{payload},{{}},null,[1]]')
    assert ack["success"], ack
    assert len(ack["messages"]) == 1
    await works(client, namespace)
    await client.close()


@namespaces
async def test_what_is_told_without_an_ack_is_one_error_event(place: Place, namespace: str) -> None:
    heard: list[tuple[str, Any]] = []
    client = await place.people.connect(
        "ann", namespace=namespace, hear=lambda name, data: heard.append((name, data))
    )
    for text in (f'["{SEND[namespace]}",NaN]', '["nothing"]', "[1]", '["connect",{}]'):
        await client.say("2", text)
    await works(client, namespace)
    errors = [data["code"] for name, data in heard if name == "error"]
    assert errors == ["INVALID_FORMAT"] * 4
    await client.close()


@namespaces
async def test_what_cannot_be_parsed_ends_this_connection_and_no_other(place: Place, namespace: str) -> None:
    other = await place.people.connect("ann", namespace=namespace)
    for packet in NO_PACKETS:
        client = await place.people.connect("ann", namespace=namespace)
        await client.carrier.send(packet.format(ns=namespace))
        async with asyncio.timeout(5):
            await client.gone.wait()
        assert not client.disconnected
        await client.close()
    await works(other, namespace)
    await other.close()


# --- REST --------------------------------------------------------------------------------------------

WRONG_IDS = ["%00", "a%0Ab", "a%2Fb", "%20", "x" * 129, "%E2%80%A8%0D"]
WRONG_CONVERSATIONS = ["dm:", "dm:b:a"]


async def answer_of(
    people: Crowd, method: str, path: str, body: bytes | None, bearer: str
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    url = URL(people.bases[0] + path, encoded=True)
    async with people.http.request(method, url, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


def path_of(route: Route[Any], **names: str) -> str:
    return route.path.format(**{"id": "1", "userId": "bob", "emoji": quote("👍"), **names})


async def test_wrong_bodies_of_every_route_are_refused_and_store_nothing(each_place: Place) -> None:
    bearer = token("host", role="service")
    before = each_place.content()
    for route in ROUTES:
        if route.body is None:
            continue
        for body in nonsense.bodies(route):
            data = body.encode(errors="surrogatepass")
            status, said = await answer_of(each_place.people, route.method, path_of(route), data, bearer)
            assert status == 400, (route.name, body[:300], said)
            assert said["error"]["code"] == "INVALID_FORMAT", (route.name, body[:300], said)
    assert each_place.content() == before


async def test_wrong_places_and_queries_of_every_route_are_refused_and_store_nothing(
    each_place: Place,
) -> None:
    bearer = token("host", role="service")
    before = each_place.content()
    for route in ROUTES:
        body = orjson.dumps(route.example) if route.body else None
        paths = [path_of(route, id=name) for name in wrong_ids(route) if "{id}" in route.path]
        paths += [path_of(route, userId=name) for name in WRONG_IDS if "{userId}" in route.path]
        if route.query is not None:
            paths += [f"{path_of(route)}?{query}" for query in queries(route)]
        for path in paths:
            status, said = await answer_of(each_place.people, route.method, path, body, bearer)
            assert status in (400, 404), (route.name, path, said)
            assert said["error"]["code"] in ("INVALID_FORMAT", "ROOM_NOT_FOUND", "USER_NOT_FOUND")
    assert each_place.content() == before


def wrong_ids(route: Route[Any]) -> list[str]:
    named = route.place is not None and "conversation_id" in route.place.parts
    return WRONG_IDS + (WRONG_CONVERSATIONS if named else [])


def queries(route: Route[Any]) -> list[str]:
    assert route.query is not None
    wrong = {
        "archived": ["2", "yes"],
        "next": ["x" * 2_000, "%00"],
        "userId": WRONG_IDS[:2],
        "q": ["", "%00", "x" * 1_001],
    }
    numbers = ["x", "1.5", "NaN", "-x", "9" * 30, "%00", "[1]"]
    return [f"{key}={value}" for key, _ in nonsense.keys(route.query) for value in wrong.get(key, numbers)]


# --- the log -----------------------------------------------------------------------------------------

CANARY = "canary-7f3a-that-nobody-may-log"
JWT_HEADER = token("ann").partition(".")[0]
"""What all tokens begin with."""


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_neither_content_nor_tokens_are_in_the_log_at_its_loudest(
    serve: Serve, own_mongodb: MongoServer, own_redis: RedisServer, log_format: str
) -> None:
    uri = own_mongodb.url.replace("/?", "/canary?")
    loud = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": log_format, "MONGODB_URI": uri, "REDIS_URL": own_redis.url}
    server = serve({**ENVIRONMENT, **loud})
    async with crowd(server.url) as people:
        await people.group("1", "ann", "bob")
        for namespace in SPACES:
            await sing(people, f"/{namespace}")
        await sing_by_rest(people)
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_mongodb.kill)
        client = await people.connect("ann")
        ack = await client.ask("send-message", {"conversationId": "1", "content": CANARY})
        assert ack["code"] == "UNAVAILABLE"
        await client.close()
    assert len(server.log) > 1_000
    for secret in (CANARY, JWT_HEADER):
        assert secret not in server.log


async def sing(people: Crowd, namespace: str) -> None:
    client = await people.connect("ann", namespace=namespace)
    send = SEND[namespace]
    good = {"conversationId": "1", "content": CANARY, "clientMessageId": f"{CANARY}{namespace}"}
    assert (await client.ask(send, good | {"attachments": [f"https://x.example/{CANARY}"]}))["success"]
    assert (await client.ask(GOOD[namespace], {"conversationId": "1"}))["success"]
    await refused(
        client,
        [
            f'["{send}",{{"conversationId":"1","content":["{CANARY}"]}}]',
            f'["{send}",{{"conversationId":"1","content":"{CANARY}","x":NaN}}]',
            f'["{send}",{{"conversationId":"1","content":"{CANARY * 300}"}}]',
            f'["{CANARY}",{{}}]',
            f'["authenticate",{{"token":"{CANARY}"}}]',
            f'["authenticate",{{"token":"{token("bob")}"}}]',
        ],
        *("INVALID_FORMAT", "MESSAGE_TOO_LONG", "AUTH_FAILED"),
    )
    await client.carrier.send(f'42{namespace},["{CANARY}"')
    await client.gone.wait()
    await client.close()
    with pytest.raises(Gone):
        await Client.connect(people.http, people.bases[0], f"{token('ann')}{CANARY}", namespace=namespace)


async def sing_by_rest(people: Crowd) -> None:
    good = orjson.dumps({"content": CANARY})
    path = "/api/conversations/1/messages"
    mine = token("ann")
    for bearer, where, body in (
        (mine, path, good),
        (mine, path, good[:-1]),
        (mine, path, b'{"content":{"a":"%s"}}' % CANARY.encode()),
        (mine + CANARY, path, good),
        (mine, f"{path}?token={quote(mine)}", good),
    ):
        await answer_of(people, "POST", where, body, bearer)
    async with people.http.get(f"{people.bases[0]}/socket.io/?EIO=4&transport=polling&token={mine}"):
        pass
    async with people.http.get(f"{people.bases[0]}/socket.io/?EIO=3&transport=x&token={mine}{CANARY}"):
        pass
    with pytest.raises(aiohttp.ClientError):
        await people.http.ws_connect(f"{people.bases[0]}/socket.io/?EIO=3&transport=websocket&token={mine}")
