"""What every backplane promises (service/ports.py), between instances that belong together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from messaging.backplanes import Backplane, Exchange, in_memory, open_backplane
from messaging.backplanes.redis import Address, RedisCapacity, RedisLimits
from messaging.domain.events import EVERYBODY, Announcement
from messaging.service.ports import ONLINE
from tests.backplanes.samples import RULES, TOPIC, message_sent, presence_changed, until

Heard = list[Announcement]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.real)])
async def another(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Backplane]]:
    """Makes one more backplane of the same service; all are closed afterwards."""
    made: list[Backplane] = []
    exchange = Exchange(RULES)
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None

    def make() -> Backplane:
        made.append(patient(url) if url else in_memory(exchange))
        return made[-1]

    yield make
    for backplane in made:
        async with asyncio.timeout(2):
            await backplane.close()


def patient(url: str) -> Backplane:
    """Over Redis; exact counts also on a machine that is too busy for 50 ms."""
    limits = RedisLimits(Address(url), RULES, patience=5)
    capacity = RedisCapacity(Address(url), patience=5)
    return replace(
        open_backplane(url, rules=RULES),
        limits=limits,
        close_limits=limits.close,
        capacity=capacity,
        close_capacity=capacity.close,
    )


Another = Callable[[], Backplane]


async def listening(backplane: Backplane, *topics: str) -> Heard:
    heard: Heard = []
    await backplane.bus.start(heard.append)
    for topic in topics:
        await backplane.bus.subscribe(topic)
    return heard


async def present(backplane: Backplane) -> list[tuple[str, str]]:
    lost: list[tuple[str, str]] = []
    await backplane.presence.start(lambda place, user: lost.append((place, user)))
    return lost


# --- bus -----------------------------------------------------------------------------------------------


async def test_events_reach_the_others_that_subscribed_in_order_and_nobody_else(another: Another) -> None:
    here, there, elsewhere = another(), another(), another()
    own, heard, unheard = (
        await listening(here, TOPIC),
        await listening(there, TOPIC),
        await listening(elsewhere),
    )
    sent = [message_sent(seq) for seq in range(1, 101)]
    here.bus.publish(sent[:50])
    for event in sent[50:]:
        here.bus.publish([event])
    here.bus.publish([presence_changed()])
    await until(lambda: len(heard) == 101 and len(unheard) == 1)
    assert heard == [*sent, presence_changed()]
    assert unheard == [presence_changed()]
    assert own == []


async def test_everybody_is_always_heard(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there)
    there.bus.unsubscribe(EVERYBODY)
    here.bus.publish([presence_changed()])
    await until(lambda: heard == [presence_changed()])


async def test_an_unsubscribed_topic_is_not_heard(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there, TOPIC)
    there.bus.unsubscribe(TOPIC)
    await there.bus.subscribe("u:barrier")  # commands are in order
    here.bus.publish([message_sent(), presence_changed()])
    await until(lambda: len(heard) > 0)
    assert heard == [presence_changed()]


async def test_subscribing_soon_after_unsubscribing_leaves_the_topic_heard(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there, TOPIC)
    for turns in (0, 1, 2, 3):
        there.bus.unsubscribe(TOPIC)
        for _ in range(turns):
            await asyncio.sleep(0)
        await there.bus.subscribe(TOPIC)
        here.bus.publish([message_sent(turns)])
        await until(lambda turns=turns: len(heard) == turns + 1)  # type: ignore[misc]


async def test_thousands_of_topics_can_be_subscribed_at_once(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there)
    await asyncio.gather(*(there.bus.subscribe(f"c:{number}") for number in range(5000)))
    await there.bus.subscribe("c:last")
    here.bus.publish([message_sent(number, str(number)) for number in range(0, 5000, 100)])
    await until(lambda: len(heard) == 50)


async def test_a_topic_may_have_any_characters(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there, "c:*? ü✓ [x]")
    here.bus.publish([message_sent(1, "*? ü✓ [x]")])
    await until(lambda: heard == [message_sent(1, "*? ü✓ [x]")])


async def test_who_raises_on_an_event_hears_the_next_one(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard: Heard = []

    def deliver(event: Announcement) -> None:
        heard.append(event)
        raise RuntimeError("a bug")

    await there.bus.start(deliver)
    here.bus.publish([presence_changed(), presence_changed()])
    await until(lambda: len(heard) == 2)


async def test_a_bus_that_is_open_checks_well(another: Another) -> None:
    here = another()
    await listening(here)
    await here.bus.check()


async def test_a_closed_bus_hears_nothing_and_can_be_closed_again(another: Another) -> None:
    here, there = another(), another()
    await listening(here)
    heard = await listening(there, TOPIC)
    await there.bus.close()
    await there.bus.close()
    here.bus.publish([message_sent()])
    there.bus.publish([message_sent()])
    await here.bus.check()
    assert heard == []


# --- capacity ------------------------------------------------------------------------------------------


async def test_a_limit_holds_over_all_processes_until_somebody_goes(another: Another) -> None:
    here, there = another(), another()
    taken = [await backplane.capacity.take("user", "ann", 5) for backplane in (here, there) * 4]
    assert taken == [True] * 5 + [False] * 3
    assert await there.capacity.take("user", "bob", 5)
    assert await there.capacity.take("address", "ann", 5)
    here.capacity.give_back("user", "ann")
    # Nobody waits for what is given back to be known; who asks here goes the same way behind it.
    assert await here.capacity.take("address", "bob", 5)
    assert await there.capacity.take("user", "ann", 5)
    assert not await here.capacity.take("user", "ann", 5)


async def test_many_at_once_never_go_over_the_limit(another: Another) -> None:
    backplanes = [another() for _ in range(3)]
    taken = await asyncio.gather(*(backplanes[n % 3].capacity.take("user", "ann", 10) for n in range(60)))
    assert 0 < sum(taken) <= 10


# --- mail ----------------------------------------------------------------------------------------------


async def test_letters_reach_the_one_process_that_is_named_in_order(another: Another) -> None:
    here, there, elsewhere = another(), another(), another()
    letters: list[bytes] = []
    others: list[bytes] = []
    await there.mail.start(letters.append)
    await elsewhere.mail.start(others.append)
    sent = [bytes([number]) * 50_000 for number in range(20)]
    for letter in sent[:-1]:
        here.mail.post(there.mail.name, letter)
    assert await here.mail.send(there.mail.name, sent[-1]) is True
    await until(lambda: len(letters) == len(sent))
    assert letters == sent
    assert others == []


async def test_it_is_known_when_nobody_has_the_name_of_a_letter(another: Another) -> None:
    here, there = another(), another()
    assert await here.mail.send("nobody", b"hello") is False
    await there.mail.start(lambda _: None)
    assert await here.mail.send(there.mail.name, b"hello") is True
    await there.mail.close()
    # A Redis may read what comes from here before it reads that the other connection has ended.
    async with asyncio.timeout(5):
        while await here.mail.send(there.mail.name, b"hello"):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.01)
    here.mail.post("nobody", b"hello")


# --- presence ------------------------------------------------------------------------------------------


async def test_a_user_crosses_when_first_in_and_when_last_out(another: Another) -> None:
    here, there = another(), another()
    await present(here)
    await present(there)
    assert await here.presence.enter(ONLINE, "alice") is True
    assert await here.presence.enter(ONLINE, "alice") is False
    assert await there.presence.enter(ONLINE, "alice") is False
    assert await there.presence.enter("team", "alice") is True
    assert await here.presence.leave(ONLINE, "alice") is False
    assert await there.presence.leave(ONLINE, "alice") is True
    assert await there.presence.enter(ONLINE, "alice") is True


async def test_leaving_where_one_never_was_is_no_error(another: Another) -> None:
    here, there = another(), another()
    await present(here)
    await present(there)
    await there.presence.enter("team", "alice")
    assert await here.presence.leave("team", "alice") is False
    assert await here.presence.leave("nowhere", "alice") is True


async def test_who_is_in_a_place_is_seen_by_all(another: Another) -> None:
    here, there = another(), another()
    await present(here)
    await present(there)
    await here.presence.enter("team", "alice")
    await there.presence.enter("team", "bob")
    await there.presence.enter("other", "carol")
    assert await here.presence.among("team", ["alice", "bob", "carol"]) == {"alice", "bob"}
    assert await here.presence.among("team", []) == frozenset()
    assert set(await there.presence.everybody("team", limit=10)) == {"alice", "bob"}
    assert len(await there.presence.everybody("team", limit=1)) == 1
    assert list(await there.presence.everybody("nowhere", limit=10)) == []


async def test_a_closed_presence_leaves_all_its_places(another: Another) -> None:
    here, there = another(), another()
    await present(here)
    lost = await present(there)
    for number in range(1200):
        await here.presence.enter("team", str(number))
    await there.presence.enter("team", "7")
    await here.presence.close()
    await here.presence.close()
    assert list(await there.presence.everybody("team", limit=10)) == ["7"]
    assert lost == []


# --- limits --------------------------------------------------------------------------------------------


async def test_exactly_as_many_as_the_rules_say_are_taken_over_all_processes(another: Another) -> None:
    one, two, three = another().limits, another().limits, another().limits
    takes = [limits.take("messages", "alice") for _ in range(10) for limits in (one, two, three)]
    waits = await asyncio.gather(*takes)
    assert sum(wait == 0 for wait in waits) == 10
    assert all(50 < wait <= 60 for wait in waits if wait)
    assert await two.take("messages", "bob") == 0


async def test_what_was_given_back_can_be_taken_again(another: Another) -> None:
    one, two = another().limits, another().limits
    for _ in range(10):
        assert await one.take("messages", "alice") == 0
    assert await two.take("messages", "alice") > 0
    one.give_back("messages", "alice")
    assert await one.take("messages", "alice") == 0
    assert await two.take("messages", "alice") > 0


async def test_giving_back_what_was_never_taken_is_no_error(another: Another) -> None:
    limits = another().limits
    limits.give_back("messages", "alice")
    limits.give_back("unlimited", "alice")
    waits = [await limits.take("messages", "alice") for _ in range(11)]
    assert [wait == 0 for wait in waits] == [True] * 10 + [False]


async def test_after_the_wait_one_more_can_be_taken(another: Another) -> None:
    limits = another().limits
    assert [await limits.take("quick", "alice") for _ in range(2)] == [0, 0]
    wait = await limits.take("quick", "alice")
    assert 0 < wait <= 1
    await asyncio.sleep(wait + 0.002)
    assert await limits.take("quick", "alice") == 0


async def test_a_budget_without_rules_is_never_full(another: Another) -> None:
    limits = another().limits
    assert {await limits.take("unlimited", "alice") for _ in range(1000)} == {0.0}
