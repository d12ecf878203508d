"""What every store must find. See test_store_contract.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.domain.models import ChangeKind
from messaging.domain.words import query_of, words_of
from messaging.service.ports import Store
from messaging.stores import mongodb_search, sqlite_search
from tests.stores.build import change, conversation, draft, fresh_id, later, member, send


async def found(
    store: Store, text: str, *where: str, before: int | None = None, limit: int = 50
) -> list[str]:
    """The contents of what is found, the newest first."""
    query = query_of(text)
    assert query is not None
    messages = await store.search(query, conversation_ids=where or ("c",), before=before, limit=limit)
    assert [message.id for message in messages] == sorted((m.id for m in messages), reverse=True)
    return [message.content for message in messages]


async def test_all_words_must_be_there_and_the_last_one_may_go_on(store: Store) -> None:
    await send(store, draft("Rendez-vous demain matin"), draft("demain soir"), draft("un matin"))
    assert await found(store, "matin demain") == ["Rendez-vous demain matin"]
    assert await found(store, "demain ma") == ["Rendez-vous demain matin"]
    assert await found(store, "ma") == ["un matin", "Rendez-vous demain matin"]
    assert await found(store, "mat demain") == []
    assert await found(store, "endez") == []


async def test_case_and_accents_do_not_matter(store: Store) -> None:
    await send(store, draft("À l'ÉCOLE, une Œuvre: straße"), draft("Ecole"), draft("ＦＵＬＬ ﬁn"))
    assert await found(store, "ecole") == await found(store, "École") != []
    assert await found(store, "STRASSE") == ["À l'ÉCOLE, une Œuvre: straße"]
    assert await found(store, "full fin") == ["ＦＵＬＬ ﬁn"]


async def test_words_of_scripts_without_spaces_are_found(store: Store) -> None:
    await send(store, draft("明日は東京へ行きます"), draft("नमस्ते दुनिया"), draft("안녕하세요"))
    assert await found(store, "東京") == ["明日は東京へ行きます"]
    assert await found(store, "नमस्ते") == ["नमस्ते दुनिया"]
    assert await found(store, "안녕") == ["안녕하세요"]


async def test_only_the_named_conversations_are_searched(store: Store) -> None:
    await store.save(conversation("d"))
    await send(store, draft("blue in c"), draft("blue in d", conversation_id="d"))
    assert await found(store, "blue", "c") == ["blue in c"]
    assert await found(store, "blue", "d", "c") == ["blue in d", "blue in c"]
    assert await found(store, "blue", "e") == []
    blue = query_of("blue")
    assert blue is not None
    assert list(await store.search(blue, conversation_ids=[], limit=5)) == []


async def test_what_is_found_goes_on_below_an_id(store: Store) -> None:
    sent = await send(store, *(draft(f"number {number}") for number in range(7)))
    assert await found(store, "number", limit=3) == ["number 6", "number 5", "number 4"]
    assert await found(store, "number", before=sent[4].id, limit=3) == ["number 3", "number 2", "number 1"]


async def test_a_message_is_found_by_its_new_words_and_not_once_it_is_deleted(store: Store) -> None:
    (message,) = await send(store, draft("the first words"))
    after = replace(message, content="other words", edited_at=later(1))
    edited = await store.change(after, change(message, ChangeKind.EDITED), before=message.content)
    assert edited is not None
    assert await found(store, "first") == []
    assert await found(store, "words other") == ["other words"]
    after = replace(edited.message, content="", deleted_at=later(2))
    assert await store.change(after, change(edited.message, ChangeKind.DELETED)) is not None
    assert await found(store, "words") == []


async def test_a_deleted_conversation_is_no_longer_found(store: Store) -> None:
    await send(store, draft("gone soon"))
    assert await store.delete("c")
    await store.save(conversation("c"))
    assert await found(store, "gone") == []


async def test_signs_and_very_long_words_do_no_harm(store: Store) -> None:
    odd = ['"quoted" AND (x) NEAR/2 *:^-+{}', "\x00a\x00", "$where ^.*", "z" * 3_000, "!?", "👍 😀"]
    await send(store, *map(draft, odd))
    assert await found(store, '"quoted" and') == [odd[0]]
    assert await found(store, "near 2") == [odd[0]]
    assert await found(store, "z" * 2_000) == [odd[3]]
    assert await found(store, "where") == [odd[2]]


async def test_a_user_is_member_of_these_conversations(store: Store) -> None:
    await store.save(conversation("d"), put=[member("alice", "d"), member("bob", "d")])
    await store.save(conversation("e"), put=[member("alice", "e")])
    assert await store.member_of("alice") == {"d", "e"}
    assert await store.member_of("nobody") == frozenset()


TEXTS = st.lists(st.sampled_from(["ab", "abc", "b", "É", "e", "東", "éa", "zz"]), min_size=1, max_size=4)


def matches(content: str, text: str) -> bool:
    """What a query means, said in the simplest way."""
    query = query_of(text)
    assert query is not None
    words = words_of(content)
    return set(query.words) <= set(words) and any(word.startswith(query.prefix) for word in words)


@pytest.mark.parametrize("few", [False, True])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(TEXTS.map(" ".join), min_size=1, max_size=12), text=TEXTS.map(" ".join))
async def test_all_ways_of_looking_find_the_same(
    store: Store, few: bool, contents: Collection[str], text: str
) -> None:
    where = fresh_id("s")
    await store.save(conversation(where))
    wanted = [each for each in reversed(list(contents)) if matches(each, text)]
    with pytest.MonkeyPatch.context() as patch:
        if few:  # so that what is frequent and rare, near and far, is there in a few messages, too
            patch.setattr(sqlite_search, "TOGETHER", 2)
            patch.setattr(sqlite_search, "_CANDIDATES", 2)
            patch.setattr(sqlite_search, "_MAX_NAMED", 0)
            patch.setattr(mongodb_search, "_RARE", 2)
            patch.setattr(mongodb_search, "_FEW", 5)
            patch.setattr(mongodb_search, "_NEWEST", 2)
        await send(store, *(draft(each, conversation_id=where) for each in contents))
        assert await found(store, text, where) == wanted
        assert await found(store, text, where, limit=2) == wanted[:2]
        assert await found(store, text, where, limit=2) == wanted[:2]
