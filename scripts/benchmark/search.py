"""Searching a million messages: the row of that name. The stores are asked in this process, without a server.

Words and conversations have sizes as in nature (Zipf): few are frequent, most are rare. What is looked for
are words of messages that are there, the last one cut short, in one, twenty or two hundred conversations.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
from pymongo import IndexModel, WriteConcern

from messaging.domain.models import Draft, Message
from messaging.domain.words import Query, query_of
from messaging.service.ports import Store
from messaging.stores import sqlite_search, sqlite_writes
from messaging.stores.mongodb import MongoStore
from messaging.stores.mongodb_documents import BY_WORD, message_document, new_message
from messaging.stores.sqlite import SqliteStore
from scripts.benchmark.figures import Comparison, Requirement, Sample
from scripts.benchmark.peers import Stage

WORDS, CONVERSATIONS, USERS = 30_000, 2_000, 50
MEMBERSHIPS = (1, 20, 200)
PAGE = 21
QUESTIONS = 150
"""How many are asked in a round."""
_BATCH = 5_000
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is looked for, and where."""

    query: Query
    where: Sequence[str]


class Town:
    """All that was said, and what people look for; the same for one seed."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.count = count
        self._random = random.Random(seed)
        lengths = [2 + min(10, index // 40) for index in range(WORDS)]
        self._words = ["".join(self._random.choices(_LETTERS, _weights(26), k=n)) for n in lengths]
        self._often = _accumulated(WORDS)
        self._big = _accumulated(CONVERSATIONS)
        self._seqs: dict[str, int] = {}

    def batches(self) -> Iterator[list[Message]]:
        """All messages, in batches."""
        numbers = iter(range(self.count))
        while batch := [self._message(number) for number in itertools.islice(numbers, _BATCH)]:
            yield batch

    def questions(self, count: int) -> list[Question]:
        """Things to look for."""
        return [self._question(MEMBERSHIPS[number % len(MEMBERSHIPS)]) for number in range(count)]

    def _question(self, memberships: int) -> Question:
        named = self._random.choices(range(CONVERSATIONS), cum_weights=self._big, k=1)
        others = self._random.sample(range(CONVERSATIONS), memberships - 1)
        said = self._said()[: self._random.choice((1, 1, 2, 3))]
        said[-1] = said[-1][: max(3, len(said[-1]) - self._random.randrange(3))]
        query = query_of(" ".join(said))
        assert query is not None
        return Question(query, [f"c{number}" for number in {*named, *others}])

    def _said(self) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._often, k=self._random.randint(3, 16))

    def _message(self, number: int) -> Message:
        (place,) = self._random.choices(range(CONVERSATIONS), cum_weights=self._big)
        where = f"c{place}"
        self._seqs[where] = seq = self._seqs.get(where, 0) + 1
        draft = Draft(
            id=1_000_000 + number * 1_000,
            conversation_id=where,
            sender_id=f"u{number % USERS}",
            content=" ".join(self._said()),
            created_at=_BEGIN + timedelta(seconds=number),
        )
        return new_message(draft, {"seq": seq, "senderSeq": seq})


def _weights(count: int) -> list[float]:
    return [1 / (rank + 2) for rank in range(count)]


def _accumulated(count: int) -> list[float]:
    return list(itertools.accumulate(_weights(count)))


# --- the data, written faster than a server would ---


async def fill_sqlite(path: Path, town: Town) -> Store:
    """A store with all that was said."""
    store = SqliteStore(str(path))
    await store.open()
    await store.close()
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA synchronous=OFF")
        for batch in town.batches():
            database.execute("BEGIN")
            sqlite_writes.insert(database, batch)
            while sqlite_search.index(database, len(batch)):
                pass
            database.execute("COMMIT")
    database.close()
    await store.open()
    return store


async def fill_mongodb(uri: str, town: Town) -> Store:
    """A store with all that was said. The index is built at the end."""
    store = MongoStore(uri)
    await store.open()
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        messages = client.get_default_database()["messages"].with_options(write_concern=WriteConcern(w=1))
        messages.drop_index(BY_WORD)
        for batch in town.batches():
            messages.insert_many(map(_document, batch))
        messages.create_indexes([IndexModel(BY_WORD)])
    return store


def _document(message: Message) -> dict[str, Any]:
    draft = Draft(
        id=message.id,
        conversation_id=message.conversation_id,
        sender_id=message.sender_id,
        content=message.content,
        created_at=message.created_at,
    )
    return message_document(draft, message.seq, message.sender_seq)


# --- the row ---


async def slowest(store: Store, questions: Iterable[Question]) -> Sample:
    """Milliseconds, 95th percentile; and the CPU microseconds of this process for each search."""
    spent: list[float] = []
    cpu = time.process_time()
    for question in questions:
        start = time.perf_counter()
        await store.search(question.query, conversation_ids=question.where, limit=PAGE)
        spent.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / len(spent) * 1e6
    return Sample(value=sorted(spent)[int(len(spent) * 0.95)] * 1e3, cpu=cpu)


async def search(stage: Stage, messages: int, rounds: int) -> list[Comparison]:
    """The row on both stores."""
    stores = {
        "ours-sqlite": await fill_sqlite(stage.folder / "search.db", Town(messages)),
        "ours": await fill_mongodb(stage.database("search"), Town(messages)),
    }
    comparisons = []
    for name, store in stores.items():
        town = Town(messages)
        await slowest(store, town.questions(30))  # what is read for the first time comes from the disk
        samples = [await slowest(store, town.questions(QUESTIONS)) for _ in range(rounds)]
        await store.close()
        comparisons.append(
            Comparison(
                row="search",
                unit="ms p95",
                name=name,
                samples=samples,
                required=Requirement(bound=100.0, at_least=False),
                note=f"{messages:,} messages in {CONVERSATIONS:,} conversations",
            )
        )
    return comparisons
