"""What every store must do with invitations and the positions of devices. See test_store_contract.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.domain.ids import INBOX
from messaging.domain.models import Position
from messaging.service.ports import Store
from tests.stores.build import Database, conversation, fresh_id, member, over_lasting, over_shared

NOW = datetime.now(UTC)  # and not T0: what is old by the real clock may be collected
DEVICES = ("phone", "laptop", "$tv.1", "")
USERS = ("alice", "$bob.b")
ODD_IDS = ("a.b", "$where", "$a.$b", "__proto__", ".", "$", "ä€😀", "a b", "'; --")

over_examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def keep(
    store: Store, device: str, *, user: str = "alice", at: datetime = NOW, **positions: int
) -> None:
    await keep_all(store, user, device, positions, at=at)


async def keep_all(
    store: Store, user: str, device: str, positions: Mapping[str, int], *, at: datetime = NOW
) -> None:
    await store.keep_positions(user, device, {c: Position(seq) for c, seq in positions.items()}, at=at)


async def seqs(store: Store, user: str, device: str) -> Mapping[str, int] | None:
    """Up to which seq the device has everything, by conversation."""
    found = await store.positions(user, device)
    return None if found is None else {where: position.seq for where, position in found.items()}


# --- invitations ----------------------------------------------------------------------------------------


async def test_an_invitation_is_there_from_inviting_to_uninviting(store: Store) -> None:
    assert await store.invited("c", "bob") is False
    assert await store.invite("c", "bob", by="alice", at=NOW) is True
    assert await store.invited("c", "bob") is True
    assert await store.uninvite("c", "bob") is True
    assert await store.invited("c", "bob") is False
    assert await store.uninvite("c", "bob") is False


async def test_inviting_somebody_again_keeps_one_invitation(store: Store) -> None:
    assert await store.invite("c", "bob", by="alice", at=NOW) is True
    assert await store.invite("c", "bob", by="carol", at=NOW + timedelta(days=1)) is False
    assert await store.uninvite("c", "bob") is True
    assert await store.invited("c", "bob") is False
    assert await store.invite("c", "bob", by="carol", at=NOW) is True


async def test_of_many_who_invite_somebody_at_once_one_is_the_first(store: Store) -> None:
    first = await asyncio.gather(*(store.invite("c", "bob", by=f"u{n}", at=NOW) for n in range(10)))
    assert first.count(True) == 1


async def test_who_is_added_has_used_up_their_invitation_and_who_is_removed_has_lost_it(store: Store) -> None:
    for user_id in ("bob", "carol", "dora"):
        await store.invite("c", user_id, by="alice", at=NOW)
    assert await store.save(conversation("c", version=3), put=[member("bob")]) is False
    assert await store.invited("c", "bob") is True, "nothing was saved"
    await store.save(conversation("c", version=2), put=[member("bob")], remove=["carol"])
    assert [await store.invited("c", user_id) for user_id in ("bob", "carol", "dora")] == [False, False, True]


async def test_an_invitation_is_for_one_user_and_one_conversation(store: Store) -> None:
    await store.save(conversation("d"))
    await store.invite("c", "bob", by="alice", at=NOW)
    assert await store.invited("c", "alice") is False
    assert await store.invited("d", "bob") is False
    assert await store.uninvite("d", "bob") is False
    assert await store.uninvite("c", "alice") is False
    assert await store.invited("c", "bob") is True


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_an_invitation_may_have_any_ids(store: Store, odd: str) -> None:
    await store.save(conversation(odd))
    assert await store.invite(odd, odd, by=odd, at=NOW) is True
    assert await store.invited(odd, odd) is True
    assert await store.uninvite(odd, odd) is True


async def test_nobody_is_invited_to_a_conversation_that_does_not_exist(store: Store) -> None:
    assert await store.invite("later", "bob", by="alice", at=NOW) is False
    await store.save(conversation("later"))
    assert await store.invited("later", "bob") is False


async def test_deleting_a_conversation_revokes_its_invitations_and_no_others(store: Store) -> None:
    await store.save(conversation("d"))
    for where in ("c", "d"):
        await store.invite(where, "bob", by="alice", at=NOW)
    await store.delete("c")
    assert await store.invited("c", "bob") is False
    await store.save(conversation("c"))
    assert await store.invited("c", "bob") is False
    assert await store.invited("d", "bob") is True


@over_lasting
async def test_invitations_and_positions_are_there_for_the_next_store(
    store: Store, database: Database
) -> None:
    await store.invite("c", "bob", by="alice", at=NOW)
    await keep(store, "phone", c=3)
    await keep(store, "empty", user="bob")
    await store.close()
    again = database.make()
    await again.open()
    assert await again.invited("c", "bob") is True
    assert await seqs(again, "alice", "phone") == {"c": 3}
    assert await seqs(again, "bob", "empty") == {}
    await again.close()


# --- positions of devices -------------------------------------------------------------------------------


async def test_where_a_device_stands_in_what_concerns_the_user_alone_is_kept_too(store: Store) -> None:
    await keep_all(store, "alice", "phone", {INBOX: 7, "c": 3, "nowhere": 9})
    assert await seqs(store, "alice", "phone") == {INBOX: 7, "c": 3}
    await keep_all(store, "alice", "phone", {INBOX: 5})
    assert await seqs(store, "alice", "") == {INBOX: 7, "c": 3}


async def test_a_device_that_never_kept_positions_has_none(store: Store) -> None:
    assert await seqs(store, "alice", "phone") is None
    assert await seqs(store, "alice", "") is None
    await keep(store, "phone", c=3)
    assert await seqs(store, "alice", "laptop") is None
    assert await seqs(store, "bob", "phone") is None
    assert await seqs(store, "bob", "") is None


async def test_a_device_that_kept_an_empty_mapping_is_known(store: Store) -> None:
    await keep(store, "phone")
    assert await seqs(store, "alice", "phone") == {}
    assert await seqs(store, "alice", "") == {}
    assert await seqs(store, "alice", "laptop") is None
    await keep(store, "phone", c=3)
    await keep(store, "phone")
    assert await seqs(store, "alice", "phone") == {"c": 3}


async def test_a_position_of_zero_is_one(store: Store) -> None:
    await keep(store, "phone", c=0)
    assert await seqs(store, "alice", "phone") == {"c": 0}


async def test_positions_only_rise_each_by_itself(store: Store) -> None:
    await store.save(conversation("d"))
    await keep(store, "phone", c=3, d=7)
    await keep(store, "phone", c=5, d=2)
    assert await seqs(store, "alice", "phone") == {"c": 5, "d": 7}
    await keep(store, "phone", d=8)
    assert await seqs(store, "alice", "phone") == {"c": 5, "d": 8}


async def test_a_position_rises_also_when_it_is_told_with_an_earlier_time(store: Store) -> None:
    await keep(store, "phone", c=3)
    await keep(store, "phone", at=NOW - timedelta(days=3), c=5)
    assert await seqs(store, "alice", "phone") == {"c": 5}


async def test_the_rev_of_a_position_rises_by_itself(store: Store) -> None:
    for position in (Position(5, 2), Position(4, 3), Position(6), Position(0, 1)):
        await store.keep_positions("alice", "phone", {"c": position}, at=NOW)
    assert await store.positions("alice", "phone") == {"c": Position(6, 3)}
    assert await store.positions("alice", "") == {"c": Position(6, 3)}


async def test_the_nameless_device_has_what_any_of_the_users_devices_has(store: Store) -> None:
    await store.save(conversation("d"))
    await keep(store, "phone", c=3, d=7)
    await keep(store, "laptop", c=5, d=2)
    await keep(store, "", c=4, d=9)
    assert await seqs(store, "alice", "") == {"c": 5, "d": 9}
    assert await seqs(store, "alice", "phone") == {"c": 3, "d": 7}
    assert await seqs(store, "alice", "laptop") == {"c": 5, "d": 2}


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_positions_may_have_any_ids(store: Store, odd: str) -> None:
    await store.save(conversation(odd))
    for seq in (2, 3):
        await keep_all(store, odd, odd, {odd: seq, "c": 1})
    assert await seqs(store, odd, odd) == {odd: 3, "c": 1}
    assert await seqs(store, odd, "") == {odd: 3, "c": 1}
    assert await seqs(store, "alice", odd) is None


async def test_positions_in_hundreds_of_conversations_are_kept_together(store: Store) -> None:
    given = {f"many{n}": n for n in range(400)}
    for where in given:  # together they would share one time limit
        await store.save(conversation(where))
    await keep_all(store, "alice", "phone", given)
    assert await seqs(store, "alice", "phone") == given
    assert await seqs(store, "alice", "") == given


async def test_a_mapping_may_change_while_it_is_being_kept(store: Store) -> None:
    live = {"c": Position(3)}
    keeping = asyncio.create_task(store.keep_positions("alice", "phone", live, at=NOW))
    await asyncio.sleep(0)
    live.update({"c": Position(9), "d": Position(1)})
    await keeping
    assert await seqs(store, "alice", "phone") == {"c": 3}


async def test_deleting_a_conversation_forgets_all_positions_in_it_and_no_others(store: Store) -> None:
    await store.save(conversation("d"))
    await keep(store, "phone", c=3, d=7)
    await keep(store, "laptop", user="bob", c=3)
    await store.delete("c")
    await store.save(conversation("c"))
    assert await seqs(store, "alice", "phone") == await seqs(store, "alice", "") == {"d": 7}
    assert await seqs(store, "bob", "laptop") == await seqs(store, "bob", "") == {}


async def test_a_position_does_not_wait_for_a_conversation_that_does_not_exist(store: Store) -> None:
    await keep(store, "phone", c=3, later=7)
    await store.save(conversation("later"))
    assert await seqs(store, "alice", "phone") == await seqs(store, "alice", "") == {"c": 3}


async def test_positions_told_at_once_leave_the_highest(store: Store) -> None:
    told = (4, 9, 2, 7, 1, 8, 3)
    await asyncio.gather(*(keep(store, f"device{seq}", c=seq) for seq in told))
    assert await seqs(store, "alice", "") == {"c": 9}
    await asyncio.gather(*(keep(store, "phone", c=seq) for seq in told))
    assert await seqs(store, "alice", "phone") == {"c": 9}


@over_shared
async def test_positions_told_in_two_processes_at_once_leave_the_highest(
    store: Store, second_store: Store
) -> None:
    for user in (f"u{n}" for n in range(20)):
        kept = [
            keep(each, device, user=user, c=seq)
            for seq in (3, 1, 2)
            for device, each in (("phone", store), ("laptop", second_store))
        ]
        await asyncio.gather(*kept, keep(second_store, "phone", user=user, c=4))
        assert await seqs(second_store, user, "") == {"c": 4}
        assert await seqs(store, user, "phone") == {"c": 4}
        assert await seqs(store, user, "laptop") == {"c": 3}


steps = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(DEVICES),
        st.dictionaries(st.integers(0, 2), st.integers(0, 9), max_size=3),
    ),
    max_size=12,
)


@over_examples
@given(steps=steps)
async def test_positions_are_the_highest_that_were_kept(
    store: Store, steps: list[tuple[str, str, dict[int, int]]]
) -> None:
    wheres, run = [fresh_id("p.$"), fresh_id("p.$"), fresh_id("p.$")], fresh_id("run")
    for where in wheres:
        await store.save(conversation(where))
    expected: dict[tuple[str, str], dict[str, int]] = {}
    for user, device, numbers in steps:
        positions = {wheres[number]: seq for number, seq in numbers.items()}
        await keep_all(store, user + run, device, positions)
        for name in {device, ""}:
            known = expected.setdefault((user, name), {})
            known.update({where: max(seq, known.get(where, 0)) for where, seq in positions.items()})
    for user in USERS:
        for device in DEVICES:
            assert await seqs(store, user + run, device) == expected.get((user, device))
