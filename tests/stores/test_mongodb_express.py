"""Express lanes: what goes by them is as by PyMongo, and nothing depends on them."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pymongo
import pytest
import uvloop
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure

from messaging.domain.models import Profile
from messaging.stores import mongodb_base
from messaging.stores.mongodb import MongoStore
from messaging.stores.mongodb_documents import Document
from messaging.stores.mongodb_express import MAX_LANES, Express, Lane
from scripts.chaos_harness.replica_set import ReplicaSet
from tests.certificates import authority
from tests.conftest import missing
from tests.gateway.house import until
from tests.proxy import Proxy
from tests.servers import MongoServer, program, with_database
from tests.stores.build import conversation, draft, everything, member, send
from tests.stores.test_store_contract_recoveries import HOUR, NOW, recovery

pytestmark = [
    pytest.mark.real,
    # As in test_mongodb.py.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

CODEC: CodecOptions[Document] = CodecOptions()
PING: Document = {"ping": 1, "$db": "admin"}


async def a_lane(express: Express) -> Lane:
    """A lane that nobody uses, as soon as there is one."""
    found: list[Lane] = []

    def look() -> bool:
        lane = express.lane()
        found.extend([lane] if lane is not None else [])
        return bool(found)

    await until(look)
    return found[0]


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    """As in test_mongodb.py."""
    yield
    gc.collect()


@pytest.fixture
async def client(mongodb_uri: str) -> AsyncIterator[AsyncMongoClient[Document]]:
    """PyMongo."""
    async with AsyncMongoClient[Document](mongodb_uri) as client:
        yield client


@pytest.fixture
async def express(client: AsyncMongoClient[Document]) -> AsyncIterator[Express]:
    """The lanes of a client."""
    express = Express(client)
    yield express
    await express.close()


async def test_a_lane_answers_commands_one_after_the_other(express: Express) -> None:
    lane = await a_lane(express)
    for _ in range(3):
        assert (await lane.ask(PING, CODEC, 5))["ok"] == 1
        assert express.lane() is lane


async def test_there_are_never_more_lanes_than_allowed(express: Express) -> None:
    lanes = [await a_lane(express) for _ in range(MAX_LANES)]
    assert len(set(lanes)) == MAX_LANES
    await asyncio.sleep(0.05)
    assert express.lane() is None
    await lanes[0].ask(PING, CODEC, 5)
    assert express.lane() is lanes[0]


@pytest.mark.parametrize(("size", "lanes"), [(1, 0), (3, 0), (8, 2)])
async def test_lanes_leave_most_of_a_small_pool(mongodb_uri: str, size: int, lanes: int) -> None:
    async with AsyncMongoClient[Document](mongodb_uri, maxPoolSize=size) as client:
        express = Express(client)
        taken = [await a_lane(express) for _ in range(lanes)]
        assert len(taken) == lanes
        for _ in range(3):
            assert express.lane() is None
            await client.admin.command("ping")
        await express.close()


async def test_a_lane_is_not_used_after_it_was_idle_for_longer_than_allowed(mongodb_uri: str) -> None:
    async with AsyncMongoClient[Document](mongodb_uri, maxIdleTimeMS=50) as client:
        express = Express(client)
        lane = await a_lane(express)
        await lane.ask(PING, CODEC, 5)
        await until(lambda: lane.idle_seconds > 0.05)
        other = await a_lane(express)
        assert other is not lane
        await until(lane.lost.done)
        await express.close()


async def test_an_answer_in_many_pieces_is_whole(
    express: Express, client: AsyncMongoClient[Document]
) -> None:
    things = client.get_default_database("test")["things"]
    await things.insert_many([{"_id": number, "text": "x" * 10_000} for number in range(500)])
    lane = await a_lane(express)
    command = {"find": "things", "batchSize": 1_000, "$db": things.database.name}
    found = (await lane.ask(command, CODEC, 5))["cursor"]["firstBatch"]
    assert [each["_id"] for each in found] == list(range(500))
    await things.drop()


async def test_what_mongodb_refuses_is_raised_and_the_lane_goes_on(express: Express) -> None:
    lane = await a_lane(express)
    with pytest.raises(OperationFailure) as refused:
        await lane.ask({"nonsense": 1, "$db": "admin"}, CODEC, 5)
    assert refused.value.code == 59
    assert (await lane.ask(PING, CODEC, 5))["ok"] == 1


async def test_who_does_not_wait_any_more_leaves_the_lane_as_it_was(express: Express) -> None:
    lane = await a_lane(express)
    asking = asyncio.create_task(lane.ask(PING, CODEC, 5))
    await asyncio.sleep(0)
    asking.cancel()
    await until(lambda: express.free == 1)
    assert (await lane.ask(PING, CODEC, 5))["ok"] == 1


async def test_a_lane_that_breaks_or_takes_too_long_is_replaced(
    mongodb_server_uri: str,
) -> None:
    port = pymongo.uri_parser.parse_uri(mongodb_server_uri)["nodelist"][0][1]
    async with Proxy.to(port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        async with AsyncMongoClient[Document](uri) as client:
            express = Express(client)
            broken = await a_lane(express)
            proxy.cut()
            with pytest.raises(AutoReconnect):
                await broken.ask(PING, CODEC, 5)
            late = await a_lane(express)
            proxy.stall()
            with pytest.raises(NetworkTimeout):
                await late.ask(PING, CODEC, 0.2)
            lane = await a_lane(express)
            assert (await lane.ask(PING, CODEC, 5))["ok"] == 1
            assert lane not in (broken, late)
            await express.close()


async def test_a_closed_express_has_no_lanes_and_no_connections(express: Express) -> None:
    lane = await a_lane(express)
    await express.close()
    assert lane.lost.done()
    assert express.lane() is None


async def test_a_pymongo_that_gives_no_connections_away_does_all(
    mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(AsyncMongoClient, "_conn_for_writes")
    store = MongoStore(mongodb_uri)
    with caplog.at_level(logging.WARNING, "messaging"):
        await store.open()
        await store.save(conversation("c"), put=[member("alice")])
        messages = await send(store, *(draft() for _ in range(3)))
        assert list(await everything(store)) == messages
    assert "gives no connections away" in caplog.text
    await store.close()


async def test_more_than_one_answer_holds_is_read_as_pymongo_does(
    mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongodb_base, "_BATCH", 20)
    store = MongoStore(mongodb_uri)
    await store.open()
    for number in range(50):
        await store.save(conversation(f"c{number}"), put=[member("alice", f"c{number}")])
    for _ in range(3):
        assert len(await store.memberships("alice")) == 50
    await store.close()


@pytest.mark.parametrize("lanes", [True, False])
async def test_what_is_written_by_a_lane_is_as_by_pymongo(mongodb_uri: str, lanes: bool) -> None:
    store = MongoStore(mongodb_uri)
    await store.open()
    if lanes:
        store.express.done(await a_lane(store.express))
    else:
        await store.express.close()
    people = [Profile(id=name, name=name) for name in ("ann", "bob", "cid")]
    assert await store.put_users(people[:2]) == [True, True]
    assert await store.put_users(people[1:]) == [False, True]
    await store.set_all_last_seen({"ann": NOW, "bob": NOW, "cid": NOW + HOUR, "dan": NOW})
    seen = {user_id: user.last_seen for user_id, user in (await store.users(["ann", "cid", "dan"])).items()}
    assert seen == {"ann": NOW, "cid": NOW + HOUR}
    await store.add_recoveries([recovery("a1"), recovery("a2")])
    await store.add_recoveries([recovery("a2", owner="other"), recovery("a3")])
    assert list(await store.keep_recoveries([recovery(pid) for pid in ("a1", "a2", "b1")])) == ["b1"]
    await store.end_recoveries({"a1": "first", "a2": "other"})
    assert sorted(await store.keep_recoveries([recovery("a1"), recovery("a2")])) == ["a1"]
    await store.close()


async def test_what_a_lane_that_breaks_was_to_write_is_written_all_the_same(mongodb_uri: str) -> None:
    parts = urlsplit(mongodb_uri)
    assert parts.port is not None
    async with Proxy.to(parts.port) as proxy:
        store = MongoStore(f"mongodb://127.0.0.1:{proxy.port}{parts.path}?directConnection=true")
        await store.open()
        store.express.done(await a_lane(store.express))
        proxy.cut()
        assert store.express.free == 1, "it is not known yet"
        assert await store.put_users([Profile(id="ann", name="Ann")]) == [True]
        assert list(await store.users(["ann"])) == ["ann"]
        await store.close()


class _SecureServer(MongoServer):
    """Encrypts where it is asked to, and wants to know who is there."""

    def command(self) -> Sequence[str]:
        authority(self.folder)
        both = self.folder / "both.pem"
        both.write_bytes(
            (self.folder / "authority.pem").read_bytes() + (self.folder / "server-key.pem").read_bytes()
        )
        key = self.folder / "members"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        return [
            *super().command(),
            *("--tlsMode", "preferTLS", "--tlsCertificateKeyFile", str(both)),
            *("--tlsCAFile", str(self.folder / "authority.pem"), "--tlsAllowConnectionsWithoutCertificates"),
            *("--keyFile", str(key)),
        ]


def test_a_lane_is_encrypted_and_signed_in_like_any_connection(tmp_path: Path) -> None:
    if program("mongod") is None:
        missing("mongod (with libcurl4)")
    with _SecureServer(tmp_path) as server:
        with pymongo.MongoClient[Document]("127.0.0.1", server.port, directConnection=True) as setting_up:
            setting_up.admin.command("createUser", "app", pwd="secret", roles=["root"])
        trusted = f"tls=true&tlsCAFile={server.folder / 'authority.pem'}&authSource=admin"
        uri = with_database(server.url, "secure").replace("//", "//app:secret@") + "&" + trusted
        uvloop.run(_use(uri))
        asyncio.run(_use(uri))


async def _use(uri: str) -> None:
    store = MongoStore(uri)
    await store.open()
    await store.save(conversation("c"), put=[member("alice")])
    before = len(await everything(store))
    messages = [await send(store, draft()) for _ in range(5)]
    await until(lambda: store.express.free > 0)
    assert (await everything(store))[before:] == [message for (message,) in messages]
    await store.close()


async def test_no_lane_leads_to_a_primary_of_before(tmp_path: Path) -> None:
    if program("mongod") is None:
        missing("mongod (with libcurl4)")
    servers = ReplicaSet(tmp_path, 3)
    await asyncio.to_thread(servers.start)
    try:
        async with AsyncMongoClient[Document](servers.url) as client:
            express = Express(client)
            before = await a_lane(express)
            await before.ask(PING, CODEC, 5)
            frozen = await asyncio.to_thread(servers.primary)
            frozen.pause()
            await until(lambda: _primary_port(client) not in (frozen.port, None), seconds=60)
            frozen.resume()  # it takes itself for the primary still, for a moment
            lane = await a_lane(express)
            assert lane.address[1] != frozen.port
            assert before.lost.done()
            await express.close()
    finally:
        servers.kill()


def _primary_port(client: AsyncMongoClient[Document]) -> int | None:
    servers = client.topology_description.server_descriptions().values()
    return next((each.address[1] for each in servers if each.is_writable), None)
