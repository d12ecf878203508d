"""What is true of the MongoDB store alone: outages, lost answers, several processes, and query plans."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest

from messaging.domain.errors import RoomNotFound, Unavailable
from messaging.domain.models import Appended, ChangeKind, Message, Position, Profile, Role, Status
from messaging.service.ports import Store
from messaging.stores.mongodb import MongoStore, NotAReplicaSet
from messaging.stores.mongodb_append import own_counts_of_each
from tests.conftest import missing
from tests.servers import MongoServer, program, with_database
from tests.stores.build import change, conversation, draft, everything, mark, member, send, stored

pytestmark = [
    pytest.mark.real,
    # PyMongo leaves its socket to the garbage collector where it is closed while it connects (4.17 to 4.20).
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

Documents = pymongo.MongoClient[dict[str, Any]]
FailPoint = Callable[..., None]


@asynccontextmanager
async def opened(uri: str) -> AsyncIterator[MongoStore]:
    """An open store."""
    store = MongoStore(uri)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(mongodb_uri: str) -> AsyncIterator[MongoStore]:
    """An open store with a group `c`."""
    async with opened(mongodb_uri) as store:
        await store.save(conversation("c"))
        yield store


@pytest.fixture
def documents(mongodb_uri: str) -> Iterator[Any]:
    """The database of `store`, as mongosh shows it."""
    with Documents(mongodb_uri) as client:
        yield client.get_default_database()


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    """See `pytestmark`: in here, and not in the midst of another module's test."""
    yield
    gc.collect()


def seqs(messages: Sequence[Message]) -> list[int]:
    return [message.seq for message in messages]


def numbers(count: int) -> list[int]:
    return list(range(1, count + 1))


# --- outages ------------------------------------------------------------------------------------------


async def assert_unavailable_within_5_seconds(store: Store) -> None:
    start = time.monotonic()
    outcomes, *rest = await asyncio.gather(
        store.append([draft("lost")]),
        store.history("c", limit=1),
        store.save(conversation("new"), put=[member("alice", "new")]),
        store.ping(),
        return_exceptions=True,
    )
    assert time.monotonic() - start < 5
    assert isinstance(outcomes, list)
    assert [type(each) for each in (*outcomes, *rest)] == [Unavailable] * 4


async def test_a_store_works_again_when_its_server_comes_back(own_mongodb: MongoServer) -> None:
    async with opened(own_mongodb.url) as store:
        await store.save(conversation("c"))
        await send(store, draft())
        await asyncio.to_thread(own_mongodb.stop)
        await assert_unavailable_within_5_seconds(store)
        await asyncio.to_thread(own_mongodb.start)
        await store.ping()
        (message,) = await send(store, draft("back"))
        assert message.seq == 2


async def test_a_server_that_hangs_is_unavailable_within_5_seconds(own_mongodb: MongoServer) -> None:
    async with opened(own_mongodb.url) as store:
        await store.save(conversation("c"))
        await send(store, draft())
        own_mongodb.pause()
        try:
            await assert_unavailable_within_5_seconds(store)
        finally:
            own_mongodb.resume()
        await store.ping()
        await send(store, draft("back"))
        messages = list(await everything(store))
        assert seqs(messages) == numbers(len(messages))
        assert messages[-1].content == "back"


async def test_a_server_that_cannot_be_reached_is_unavailable_at_opening() -> None:
    store = MongoStore("mongodb://127.0.0.1:9/?replicaSet=rs0&timeoutMS=200&serverSelectionTimeoutMS=200")
    with pytest.raises(Unavailable):
        await store.open()
    await store.close()


async def test_a_closed_store_is_unavailable(mongodb_uri: str) -> None:
    store = MongoStore(mongodb_uri)
    await store.close()
    with pytest.raises(Unavailable):
        await store.ping()


async def _write_through(
    store: Store, sender: str, batches: int, begun: Mapping[int, asyncio.Event]
) -> list[tuple[str, int]]:
    """Send batches, each again under the same client message ids until it is acknowledged."""
    acked: list[tuple[str, int]] = []
    for number in range(batches):
        if number in begun:
            begun[number].set()
        keys = [f"{number}.{each}" for each in range(10)]
        for _ in range(20):
            drafts = [draft(key, sender_id=sender, client_message_id=key) for key in keys]
            outcomes = await store.append(drafts)
            if all(isinstance(outcome, Appended) for outcome in outcomes):
                break
        acked += [(f"{sender} {key}", stored(each).seq) for key, each in zip(keys, outcomes, strict=True)]
    return acked


async def test_killing_the_server_under_load_loses_and_doubles_nothing(own_mongodb: MongoServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(own_mongodb.url)) for _ in range(4)]
        await stores[0].save(conversation("c"))
        begun = {30: asyncio.Event(), 80: asyncio.Event()}
        writers = [
            asyncio.create_task(_write_through(store, f"writer{number}", 120, begun))
            for number, store in enumerate(stores)
        ]
        for moment in begun.values():
            await moment.wait()
            await asyncio.to_thread(own_mongodb.kill)
            await asyncio.to_thread(own_mongodb.start)
        acked = [each for each_writer in await asyncio.gather(*writers) for each in each_writer]
        messages = list(await everything(stores[0]))
    assert seqs(messages) == numbers(4 * 1200)
    assert sorted(acked) == sorted((f"{m.sender_id} {m.content}", m.seq) for m in messages)


async def test_a_server_without_a_replica_set_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with _StandaloneServer(tmp_path) as server:
        store = MongoStore(f"mongodb://127.0.0.1:{server.port}")
        with pytest.raises(NotAReplicaSet, match="--replSet"):
            await store.open()
        await store.close()


class _StandaloneServer(MongoServer):
    def command(self) -> Sequence[str]:
        arguments = list(super().command())
        at = arguments.index("--replSet")
        return arguments[:at] + arguments[at + 4 :]  # without the set and its oplog


# --- lost answers -------------------------------------------------------------------------------------


class _FailingServer(MongoServer):
    def command(self) -> Sequence[str]:
        return [*super().command(), "--setParameter", "enableTestCommands=1"]


@pytest.fixture(scope="module")
def failing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_FailingServer]:
    if program("mongod") is None:
        missing("mongod (with libcurl4)")
    with _FailingServer(tmp_path_factory.mktemp("failing")) as server:
        yield server


@pytest.fixture
def fail(failing_server: _FailingServer) -> Iterator[FailPoint]:
    """Make the server fail the next `times` commands of a name, in the way that `how` says."""

    def set_fail_point(command: str, times: int, **how: object) -> None:
        data = {"failCommands": [command], **how}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)

    with Documents(failing_server.url) as client:
        yield set_fail_point
        client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture(params=["retryWrites=true", "retryWrites=false"])
async def failing_store(
    failing_server: _FailingServer, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MongoStore]:
    """A store with the group `c`, whose driver tries failed writes again or does not."""
    uri = with_database(failing_server.url, f"test_{abs(hash(tmp_path))}")
    async with opened(f"{uri}&{request.param}") as store:
        await store.save(conversation("c"))
        yield store


# The command is carried out, and the answer says that nobody knows whether it will last.
CARRIED_OUT = {"writeConcernError": {"code": 64, "errmsg": "timed out"}}
NOT_CARRIED_OUT = {"closeConnection": True}
STEPPED_DOWN = {"errorCode": 189}


@pytest.mark.parametrize("how", [CARRIED_OUT, NOT_CARRIED_OUT, STEPPED_DOWN])
async def test_a_batch_whose_answer_is_lost_is_stored_once_and_under_its_ids(
    failing_store: MongoStore, fail: FailPoint, how: dict[str, object]
) -> None:
    await failing_store.save(conversation("d"))
    drafts = [draft(conversation_id=where) for where in "ccddc"]
    fail("insert", 3, **how)
    outcomes = await failing_store.append(drafts)
    assert [stored(each).id for each in outcomes] == [each.id for each in drafts]
    assert [stored(each).seq for each in outcomes] == [1, 2, 1, 2, 3]
    assert not any(isinstance(each, Appended) and each.repeated for each in outcomes)
    assert list(await everything(failing_store)) == [stored(outcomes[each]) for each in (0, 1, 4)]


@pytest.mark.parametrize("how", [CARRIED_OUT, NOT_CARRIED_OUT])
async def test_a_save_whose_answer_is_lost_is_done_once(
    failing_store: MongoStore, fail: FailPoint, how: dict[str, object]
) -> None:
    fail("commitTransaction", 3, **how)
    assert await failing_store.save(conversation("c", version=2), put=[member("alice")]) is True
    assert await failing_store.conversation("c") == conversation("c", version=2)
    assert await failing_store.member("c", "alice") == member("alice")


async def test_writes_that_are_refused_for_good_are_unavailable(
    failing_store: MongoStore, fail: FailPoint
) -> None:
    fail("insert", 1, errorCode=13)  # Unauthorized
    (outcome,) = await failing_store.append([draft()])
    assert isinstance(outcome, Unavailable)
    (message,) = await send(failing_store, draft())
    assert message.seq == 1


# --- several processes --------------------------------------------------------------------------------


async def _send_all(store: Store, sender: str, where: str, batches: int) -> list[Message]:
    sent: list[Message] = []
    for _ in range(batches):
        sent += await send(store, *(draft(sender_id=sender, conversation_id=where) for _ in range(5)))
    return sent


async def test_eight_writers_in_two_processes_make_one_dense_order(
    store: MongoStore, mongodb_uri: str
) -> None:
    async with opened(mongodb_uri) as other:
        tasks = [
            _send_all(each, f"{process}{n}", "c", 20)
            for process, each in (("one", store), ("two", other))
            for n in range(4)
        ]
        sent = [message for each in await asyncio.gather(*tasks) for message in each]
    messages = list(await everything(store))
    assert seqs(messages) == numbers(800)
    assert sorted(sent, key=lambda each: each.seq) == messages


async def test_a_clash_in_one_conversation_does_not_keep_the_rest_of_the_batch_waiting(
    store: MongoStore, mongodb_uri: str, documents: Any
) -> None:
    for where in ("d", "e"):
        await store.save(conversation(where))
    await send(store, *(draft(conversation_id=where) for where in "cde"))
    async with opened(mongodb_uri) as other:
        await send(other, draft(conversation_id="d"))
    documents.command("profile", 2)
    messages = await send(store, *(draft(conversation_id=where) for where in "cdecde"))
    documents.command("profile", 0)
    assert seqs(messages) == [2, 3, 2, 3, 4, 3]
    inserts = documents["system.profile"].find({"op": "insert"}).sort("ts", 1)
    # c and the clash; at once e, without looking for d first; then d.
    assert [each["ninserted"] for each in inserts] == [2, 2, 2]


async def test_a_batch_of_several_clashes_is_stored_in_order(store: MongoStore, mongodb_uri: str) -> None:
    for where in ("d", "e"):
        await store.save(conversation(where))
    await send(store, *(draft(conversation_id=where) for where in "cde"))
    async with opened(mongodb_uri) as other:
        await send(other, *(draft(conversation_id=where) for where in "cde"))
    messages = await send(store, *(draft(conversation_id=where) for where in "cdecde"))
    assert seqs(messages) == [3, 3, 3, 4, 4, 4]


async def test_a_conversation_made_anew_while_another_process_writes_has_no_gaps(
    store: MongoStore, mongodb_uri: str
) -> None:
    async def write() -> int:
        refused = 0
        while not made_anew.is_set() or refused == 0:
            (outcome,) = await store.append([draft()])
            refused += isinstance(outcome, RoomNotFound)
        return refused

    made_anew = asyncio.Event()
    async with opened(mongodb_uri) as other:
        await send(store, *(draft() for _ in range(100)))
        writer = asyncio.create_task(write())
        assert await other.delete("c") is True
        assert await other.save(conversation("c")) is True
        made_anew.set()
        assert await writer > 0
        (last,) = await send(store, draft("last"))
        messages = list(await everything(other))
    assert seqs(messages) == numbers(len(messages))
    assert messages[-1] == last
    assert len(messages) < 100


def grow_old(store: MongoStore, conversation_id: str, seconds: float) -> None:
    """As if the conversation had last been looked at so long before."""
    store._appender._ends[conversation_id].checked -= seconds  # noqa: SLF001


async def test_conversations_that_are_written_to_all_the_time_are_looked_at_together(
    store: MongoStore, documents: Any
) -> None:
    for where in "de":
        await store.save(conversation(where))
    await send(store, *(draft(conversation_id=where) for where in "cde"))
    for where, seconds in {"c": 1.5, "d": 0.8, "e": 0.0}.items():
        grow_old(store, where, seconds)
    documents.command("profile", 2)
    await send(store, draft(conversation_id="c"))
    grow_old(store, "d", 0.4)
    await send(store, *(draft(conversation_id=where) for where in "de"))
    documents.command("profile", 0)
    looks = documents["system.profile"].find({"op": "query", "ns": {"$regex": "conversations"}})
    assert [each["command"]["filter"]["_id"]["$in"] for each in looks] == [["c", "d"]]


async def test_a_conversation_made_anew_is_not_taken_for_the_old_one_because_another_was_looked_at(
    store: MongoStore, mongodb_uri: str
) -> None:
    await store.save(conversation("d"))
    await send(store, *(draft(conversation_id=where) for where in "cdd"))
    async with opened(mongodb_uri) as other:
        assert await other.delete("d") is True
        assert await other.save(conversation("d")) is True
    for where, seconds in {"c": 1.5, "d": 0.8}.items():
        grow_old(store, where, seconds)
    await send(store, draft(conversation_id="c"))
    grow_old(store, "d", 0.4)
    (first,) = await send(store, draft(conversation_id="d"))
    assert first.seq == 1


async def test_an_id_is_not_given_again_while_its_conversation_is_being_deleted(
    store: MongoStore, documents: Any
) -> None:
    documents["deletions"].insert_one({"_id": "d", "at": datetime.now(UTC)})
    with pytest.raises(Unavailable):
        await store.save(conversation("d"))


async def test_a_deletion_that_was_left_half_done_is_finished_by_who_needs_the_id(
    store: MongoStore, documents: Any
) -> None:
    await send(store, draft(), draft())
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    documents["deletions"].insert_one({"_id": "c", "at": long_ago})
    documents["conversations"].delete_one({"_id": "c"})
    assert await store.save(conversation("c")) is True
    assert list(await everything(store)) == []
    assert documents["deletions"].count_documents({}) == 0


# --- documents and plans ------------------------------------------------------------------------------


async def test_the_database_is_the_one_in_the_uri_or_else_messaging(mongodb_uri: str) -> None:
    assert MongoStore("mongodb://127.0.0.1/?replicaSet=rs0")._database.name == "messaging"  # noqa: SLF001
    assert MongoStore("mongodb://127.0.0.1/chat")._database.name == "chat"  # noqa: SLF001


async def test_a_message_that_has_no_extras_is_a_small_document(store: MongoStore, documents: Any) -> None:
    (message,) = await send(store, draft("hi"))
    assert documents["messages"].find_one() == {
        "_id": message.id,
        "conversationId": "c",
        "seq": 1,
        "senderId": "alice",
        "senderSeq": 1,
        "author": "USER",
        "contentType": "text",
        "content": "hi",
        "words": ["hi"],
        "createdAt": message.created_at.replace(tzinfo=None),
    }


async def test_a_device_in_use_keeps_its_positions_in_quiet_conversations(
    store: MongoStore, documents: Any
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    await store.save(conversation("quiet"))
    await store.keep_positions(
        "alice", "phone", {"quiet": Position(3), "c": Position(1)}, at=now - timedelta(days=60)
    )
    await store.keep_positions("alice", "laptop", {"quiet": Position(3)}, at=now - timedelta(days=60))
    await store.keep_positions("alice", "phone", {"c": Position(2)}, at=now)
    seen = {
        (each["device"], each["conversationId"]): each["seenAt"] for each in documents["positions"].find()
    }
    old = {key for key, at in seen.items() if at != now.replace(tzinfo=None)}
    assert old == {("laptop", "quiet"), ("laptop", "")}
    assert len(seen) == 8


async def test_devices_are_forgotten_90_days_after_they_were_last_seen(
    store: MongoStore, documents: Any
) -> None:
    indexes = documents["positions"].index_information().values()
    assert [
        (each["key"], each["expireAfterSeconds"]) for each in indexes if "expireAfterSeconds" in each
    ] == [([("seenAt", 1)], 90 * 86_400)]


async def _use_everything(store: MongoStore) -> None:
    await store.users(["alice", "bob"])
    await store.find_users("a", limit=5)
    await store.find_users("a", limit=5, after="aa")
    await store.set_status("alice", Status.AWAY)
    await store.set_last_seen("alice", datetime.now(UTC))
    await store.save(conversation("c5", version=3), put=[member("carol", "c5")], remove=["bob"])
    await store.member("c5", "alice")
    await store.members("c5", limit=5)
    await store.members("c5", limit=5, role=Role.OWNER)
    await store.memberships("alice")
    await store.membership("c5", "alice")
    await send(store, draft(conversation_id="c5", client_message_id="first"))
    await store.append([draft(conversation_id="c5", client_message_id="first")])
    await store.message_by_client_id("c5", "alice", "first")
    await store.history("c5", limit=5)
    await store.history("c5", limit=5, after=3)
    await store.history("c5", limit=5, before=7, offset=1)
    await store.tails([f"c{number}" for number in range(40)])
    await store.own_sent("c5", "alice", up_to=7)
    await store.cursor("c5", "alice")
    await store.mark_read(mark("alice", 9, conversation_id="c5"), own_read=3, keep=True)
    await store.mark_read(mark("alice", 9, conversation_id="c5"), own_read=3, keep=True)
    await store.read_marks("c5", after=3, up_to=6)
    await store.invite("c5", "dora", by="alice", at=datetime.now(UTC))
    await store.invited("c5", "dora")
    await store.uninvite("c5", "dora")
    await store.keep_positions("alice", "phone", {"c5": Position(9), "c6": Position(9)}, at=datetime.now(UTC))
    await store.positions("alice", "phone")
    (message,) = await store.history("c5", limit=1)
    await store.messages([message.id])
    await store.change(message, change(message, ChangeKind.EDITED), before="hello")
    await store.change(message, change(message, ChangeKind.EDITED), before="hello")
    await store.changes("c5", after=0, limit=5)
    await store.rev_before("c5", 30)
    await store.edits(message.id, limit=5)
    await store.delete("c6")


async def test_every_query_goes_by_an_index_and_ends_by_distinct_scans(
    store: MongoStore, mongodb_uri: str, documents: Any
) -> None:
    await store.put_user(Profile(id="alice"))
    for number in range(40):
        where = f"c{number}"
        await store.save(conversation(where))
        people = [member("alice", where), member("bob", where, role=Role.OWNER)]
        await store.save(conversation(where, version=2), put=people)
        await send(store, *(draft(sender_id=each, conversation_id=where) for each in ["alice", "bob"] * 15))
        await store.mark_read(mark("bob", 5, conversation_id=where), own_read=1, keep=True)
    positions = {f"c{number}": Position(30) for number in range(40)}
    await store.keep_positions("alice", "phone", positions, at=datetime.now(UTC))
    async with opened(mongodb_uri) as cold:
        documents.command("profile", 2)
        await _use_everything(cold)
        documents.command("profile", 0)
    used = list(documents["system.profile"].find({"planSummary": {"$exists": True}}))
    assert not [each for each in used if "COLLSCAN" in each["planSummary"]]
    aggregates = [each for each in used if "aggregate" in each["command"]]
    assert len(aggregates) >= 6
    assert all(each["planSummary"].startswith("DISTINCT_SCAN") for each in aggregates)
    # Of 30 messages in each of 40 conversations, no query looks at more than one or two per conversation.
    looked_at = [each for each in used if each["op"] != "remove"]
    assert max(each.get("keysExamined", 0) for each in looked_at) <= 2 * 41


async def test_what_each_of_many_users_wrote_is_counted_by_a_distinct_scan_of_its_own(
    store: MongoStore, documents: Any
) -> None:
    users = ["alice", "bob", "$dora"]
    await send(store, *(draft(sender_id=user_id) for user_id in users * 3))
    pipeline = own_counts_of_each({user_id: ["c"] for user_id in users})
    counted = {each["userId"]: each for each in documents["messages"].aggregate(pipeline)}
    assert counted == {each: {"_id": "c", "userId": each, "senderSeq": 3} for each in users}
    command = {"aggregate": "messages", "pipeline": pipeline, "cursor": {}}
    plan = str(documents.command("explain", command, verbosity="executionStats"))
    assert "COLLSCAN" not in plan
    assert "IXSCAN" not in plan
    assert plan.count("DISTINCT_SCAN") >= len(users)
