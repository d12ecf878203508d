"""What every store must do with users, conversations and members. See test_store_contract.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.models import Kind, Member, Profile, Role, Status, Tail, User
from messaging.service.ports import Store
from tests.stores.build import conversation, draft, everything, later, mark, member, over_shared, send

ALICE = Profile(
    id="alice",
    username="al",
    name="Alice L.",
    first_name="Alice",
    last_name="Liddell",
    salon_name="Wonderland",
    image="https://example.org/a.png",
    role="stylist",
    email="alice@example.org",
)


async def found(store: Store, prefix: str, *, limit: int = 50, after: str | None = None) -> list[str]:
    return [profile.id for profile in await store.find_users(prefix, limit=limit, after=after)]


# --- users ----------------------------------------------------------------------------------------------


async def test_a_user_is_new_once_and_comes_back_as_described(store: Store) -> None:
    assert await store.put_user(ALICE) is True
    assert await store.put_user(ALICE) is False
    assert await store.put_user(Profile(id="bob")) is True
    assert await store.users(["alice", "bob", "nobody"]) == {
        "alice": User(profile=ALICE),
        "bob": User(profile=Profile(id="bob")),
    }
    assert dict(await store.users([])) == {}


async def test_a_profile_replaces_the_one_before_and_leaves_status_and_last_seen(store: Store) -> None:
    await store.put_user(ALICE)
    await store.set_status("alice", Status.BUSY)
    await store.set_last_seen("alice", later(1))
    assert await store.put_user(Profile(id="alice", name="New")) is False
    assert (await store.users(["alice"]))["alice"] == User(
        profile=Profile(id="alice", name="New"), status=Status.BUSY, last_seen=later(1)
    )
    assert await found(store, "wonder") == []
    assert await found(store, "new") == ["alice"]


async def test_many_users_are_kept_and_seen_at_once(store: Store) -> None:
    await store.put_user(Profile(id="bob", name="Bob"))
    await store.set_last_seen("bob", later(5))
    people = [ALICE, Profile(id="bob"), Profile(id="carol"), Profile(id="carol", name="Carol")]
    assert list(await store.put_users(people)) == [True, False, True, False]
    await store.set_all_last_seen({"alice": later(1), "bob": later(4), "carol": later(1), "nobody": later(1)})
    assert await store.users(["alice", "bob", "carol", "nobody"]) == {
        "alice": User(profile=ALICE, last_seen=later(1)),
        "bob": User(profile=Profile(id="bob"), last_seen=later(5)),
        "carol": User(profile=Profile(id="carol", name="Carol"), last_seen=later(1)),
    }
    await store.set_all_last_seen({})
    assert list(await store.put_users([])) == []


async def test_the_memberships_of_many_are_those_of_each(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice"), member("bob")])
    await store.save(conversation("d"), put=[member("bob", conversation_id="d")])
    await send(
        store, draft("1"), draft("2", sender_id="bob"), draft("3", conversation_id="d", sender_id="bob")
    )
    await store.mark_read(mark("bob", seq=1), own_read=0, keep=False)
    found = await store.memberships_of(["alice", "bob", "nobody"])
    assert found.keys() == {"alice", "bob"}
    assert {each.conversation.id for each in found["bob"]} == {"c", "d"}
    for user_id, each in found.items():
        alone = await store.memberships(user_id)
        assert {m.conversation.id: m for m in each} == {m.conversation.id: m for m in alone}
    assert dict(await store.memberships_of([])) == {}


async def test_two_first_sign_ins_at_the_same_instant_make_one_new_user(store: Store) -> None:
    new = await asyncio.gather(*(store.put_user(ALICE) for _ in range(8)))
    assert new.count(True) == 1


async def test_last_seen_never_moves_back(store: Store) -> None:
    await store.put_user(ALICE)
    for seconds, expected in ((5, 5), (3, 5), (9, 9)):
        await store.set_last_seen("alice", later(seconds))
        assert (await store.users(["alice"]))["alice"].last_seen == later(expected)


@pytest.mark.parametrize(
    "prefix", ["al", "AL", "alice", "aLiCe l", "lidd", "wonder", "alice liddell", "liddell alice", ""]
)
async def test_users_are_found_by_the_beginning_of_their_id_and_of_each_name(
    store: Store, prefix: str
) -> None:
    await store.put_user(ALICE)
    await store.put_user(Profile(id="zed", image="alice", email="alice@example.org", role="wonder"))
    expected = {"": ["alice", "zed"], "alice liddell": [], "liddell alice": []}
    assert await found(store, prefix) == expected.get(prefix, ["alice"])


async def test_users_are_found_whatever_the_case_of_accented_letters(store: Store) -> None:
    await store.put_user(Profile(id="1", first_name="Élodie"))
    await store.put_user(Profile(id="2", first_name="ÉLOI"))
    assert await found(store, "élo") == ["1", "2"]
    assert await found(store, "ÉLOD") == ["1"]


@pytest.mark.parametrize(
    "prefix", ["%", "_", "a%", "a_", "a\\", "\\", "[a]", "a.", ".*", "^a", "$", "a'", "(a"]
)
async def test_nothing_in_a_prefix_is_a_pattern(store: Store, prefix: str) -> None:
    await store.put_user(Profile(id="abc", name="abc"))
    assert await found(store, prefix) == []
    await store.put_user(Profile(id=f"{prefix}X", name="zzz"))
    await store.put_user(Profile(id="name", name=f"{prefix}Y"))
    assert await found(store, prefix) == sorted([f"{prefix}X", "name"])


async def test_found_users_come_by_rising_id_page_by_page(store: Store) -> None:
    ids = ["B", "_", "a", "a1", "a10", "a2", "é", "ﬀ", "🙂"]
    for user_id in reversed(ids):
        await store.put_user(Profile(id=user_id, name="Same"))
    assert await found(store, "same") == ids
    pages, after = [], None
    while page := await found(store, "same", limit=2, after=after):
        pages.append(page)
        after = page[-1]
    assert [user_id for page in pages for user_id in page] == ids
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]


# --- conversations ----------------------------------------------------------------------------------------


async def test_a_conversation_comes_back_as_saved(store: Store) -> None:
    given = conversation(
        "room-1", kind=Kind.ROOM, name="Room", private=True, updated_at=later(1), member_count=7
    )
    assert await store.conversation("room-1") is None
    assert await store.save(given) is True
    assert await store.conversation("room-1") == given


async def test_a_conversation_that_is_there_is_not_made_again(store: Store) -> None:
    assert await store.save(conversation("c", name="other"), put=[member("alice")]) is False
    assert await store.conversation("c") == conversation("c")
    assert list(await store.members("c", limit=10)) == []


@pytest.mark.parametrize("version", [1, 3, 4])
async def test_a_save_with_the_wrong_version_changes_nothing(store: Store, version: int) -> None:
    await store.save(conversation("c", version=2, name="two"), put=[member("alice"), member("bob")])
    wrong = conversation("c", version=version if version != 3 else 5, name="wrong")
    assert await store.save(wrong, put=[member("carol")], remove=["bob"]) is False
    assert (await store.tails(["c"]))["c"].version == 2
    assert [one.user_id for one in await store.members("c", limit=9)] == ["alice", "bob"]


async def test_a_save_of_a_later_version_of_what_does_not_exist_changes_nothing(store: Store) -> None:
    new = conversation("new", version=2)
    assert await store.save(new, put=[member("alice", "new")]) is False
    assert await store.conversation("new") is None
    assert await store.member("new", "alice") is None


@pytest.mark.parametrize("where", ["c", "new"])
async def test_of_savers_at_the_same_instant_exactly_one_wins(store: Store, where: str) -> None:
    version = 2 if where == "c" else 1
    savers = [
        store.save(conversation(where, version=version, name=str(n)), put=[member(f"u{n}", where)])
        for n in range(10)
    ]
    won = await asyncio.gather(*savers)
    assert won.count(True) == 1
    winner = won.index(True)
    saved = await store.conversation(where)
    assert saved is not None
    assert saved.name == str(winner)
    assert [one.user_id for one in await store.members(where, limit=99)] == [f"u{winner}"]


@over_shared
async def test_of_savers_in_two_processes_exactly_one_wins(store: Store, second_store: Store) -> None:
    for version in range(2, 22):
        won = await asyncio.gather(
            store.save(conversation("c", version=version), put=[member(f"one{version}")]),
            second_store.save(conversation("c", version=version), put=[member(f"two{version}")]),
        )
        assert sorted(won) == [False, True]
        assert len(await store.members("c", limit=99)) == version - 1


async def test_a_deleted_conversation_leaves_nothing(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice"), member("bob")])
    (message, *_) = await send(store, draft(client_message_id="k"), draft(), draft())
    await store.mark_read(mark("bob", 2), own_read=0, keep=True)
    assert await store.delete("c") is True
    assert await store.delete("c") is False
    assert await store.conversation("c") is None
    assert await store.member("c", "alice") is None
    assert list(await store.memberships("alice")) == []
    assert await store.message(message.id) is None
    assert await store.tails(["c"]) == {"c": Tail()}
    assert list(await store.read_marks("c", after=0, up_to=9)) == []
    assert await store.cursor("c", "bob") == 0


async def test_a_conversation_made_anew_under_a_deleted_ones_id_begins_anew(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice")])
    await send(store, draft(client_message_id="k"), draft())
    await store.mark_read(mark("alice", 2), own_read=2, keep=True)
    await store.delete("c")
    assert await store.save(conversation("c"), put=[member("alice")])
    assert list(await everything(store)) == []
    (message,) = await send(store, draft("new", client_message_id="k"))
    assert (message.seq, message.sender_seq, message.content) == (1, 1, "new")
    assert await store.cursor("c", "alice") == 0


async def test_deleting_one_conversation_leaves_the_others(store: Store) -> None:
    await store.save(conversation("d"), put=[member("alice", "d")])
    sent = await send(store, draft(conversation_id="d"), draft())
    await store.delete("c")
    assert list(await everything(store, "d")) == sent[:1]
    assert len(await store.memberships("alice")) == 1


# --- members --------------------------------------------------------------------------------


async def test_a_member_comes_back_as_put(store: Store) -> None:
    place: dict[str, Any] = {"archived_at": 2, "muted": True, "unread_at": 3}
    given = member("alice", role=Role.OWNER, joined_at=later(1), cursor=3, own_read=1, **place)
    await store.save(conversation("c", version=2), put=[given])
    assert await store.member("c", "alice") == given
    assert await store.member("c", "bob") is None
    assert await store.member("nowhere", "alice") is None


async def test_of_a_member_who_is_one_already_only_the_role_changes(store: Store) -> None:
    first = member("alice", joined_at=later(1), cursor=3, own_read=1, muted=True)
    await store.save(conversation("c", version=2), put=[first])
    again = member("alice", role=Role.ADMIN, joined_at=later(9), cursor=9, own_read=5, archived_at=1)
    await store.save(conversation("c", version=3), put=[again])
    assert await store.member("c", "alice") == replace(first, role=Role.ADMIN)


async def test_members_are_removed(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice"), member("bob"), member("carol")])
    await store.save(conversation("c", version=3), put=[member("dave")], remove=["alice", "carol", "nobody"])
    assert [one.user_id for one in await store.members("c", limit=9)] == ["bob", "dave"]
    assert list(await store.memberships("alice")) == []
    assert await store.membership("c", "alice") is None


async def test_who_comes_back_has_read_at_least_what_they_had_read_before(store: Store) -> None:
    await store.save(conversation("c", version=2), put=[member("alice"), member("bob")])
    await store.mark_read(mark("alice", 5), own_read=2, keep=False)
    await store.mark_read(mark("bob", 5), own_read=2, keep=False)
    await store.save(conversation("c", version=3), remove=["alice", "bob"])
    back = [member("alice", cursor=3, own_read=1), member("bob", cursor=8, own_read=4, role=Role.ADMIN)]
    await store.save(conversation("c", version=4), put=back)
    assert await store.member("c", "alice") == member("alice", cursor=5, own_read=2)
    assert await store.member("c", "bob") == back[1]


async def test_members_come_longest_serving_first_then_by_id(store: Store) -> None:
    joined = {"zed": 1, "bob": 2, "Al": 2, "é": 2, "new": 9}
    put: list[Member] = [member(who, joined_at=later(at)) for who, at in joined.items()]
    put[1] = replace(put[1], role=Role.ADMIN)
    put[4] = replace(put[4], role=Role.ADMIN)
    await store.save(conversation("c", version=2), put=put[::-1])
    assert [one.user_id for one in await store.members("c", limit=9)] == ["zed", "Al", "bob", "é", "new"]
    assert [one.user_id for one in await store.members("c", limit=2)] == ["zed", "Al"]
    admins = await store.members("c", limit=9, role=Role.ADMIN)
    assert [one.user_id for one in admins] == ["bob", "new"]
    assert list(await store.members("c", limit=9, role=Role.OWNER)) == []
    assert list(await store.members("nowhere", limit=9)) == []


async def test_many_members_can_be_put_at_once(store: Store) -> None:
    put = [member(f"user {n:05}", cursor=n % 3) for n in range(3000)]
    assert await store.save(conversation("c", version=2), put=put)
    assert list(await store.members("c", limit=5000)) == put
    assert await store.save(conversation("c", version=3), remove=[one.user_id for one in put[:2000]])
    assert len(await store.members("c", limit=5000)) == 1000


async def test_conversations_and_roles_of_many_at_once(store: Store) -> None:
    people = [member("alice", "d", role=Role.ADMIN), member("bob", "d")]
    await store.save(conversation("d", name="D"), put=people)
    found = await store.conversations_among(["c", "d", "nowhere"])
    assert found == {"c": await store.conversation("c"), "d": await store.conversation("d")}
    asked = [("d", "alice"), ("d", "bob"), ("d", "carol"), ("c", "alice"), ("nowhere", "alice")]
    assert await store.roles(asked) == {("d", "alice"): Role.ADMIN, ("d", "bob"): Role.MEMBER}
    assert await store.conversations_among([]) == {}
    assert await store.roles([]) == {}
