"""For whom something is pushed: real commands on a real store, and a real push pushes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from messaging.domain.commands import (
    Actor,
    Command,
    GetPushKey,
    MarkConversationRead,
    MarkNotificationsRead,
    Notify,
    SendMessage,
    SetMuted,
    SubscribePush,
    UnsubscribePush,
)
from messaging.domain.errors import InvalidFormat
from messaging.domain.pushing import Subscription
from messaging.domain.replies import PushKey, SubscriptionReply
from messaging.outgoing.client import Outgoing
from messaging.push import pusher as module
from messaging.push.keys import VapidKey, new_key, private_key
from messaging.push.pusher import Pusher, PushTargets
from messaging.service.conversations import ensure_room
from messaging.service.ports import ONLINE
from tests.push.browsers import Browser, PushService, until
from tests.stage import Stage, staged
from tests.stage import service as host

SECRET, PUBLIC = new_key()


class Town:
    """A stage whose users are pushed to."""

    def __init__(self, stage: Stage, pushes: PushService, *, content: bool = True) -> None:
        self.stage = stage
        self.pushes = pushes
        self.outcomes: Counter[str] = Counter()
        key = VapidKey(private_key(SECRET), "mailto:a@b.example")
        self.pusher = Pusher(
            stage.ctx,
            pushes.way(),
            key,
            content=content,
            grace_seconds=-0.8,  # so that the second look comes soon
            observe=self._observe,
            pause_seconds=0.01,
        )

    def _observe(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    async def do(self, actor: Actor, command: Command) -> None:
        """Carry out a command, and tell the pusher, as the gateway does."""
        for event in (await self.stage.outcome(actor, command)).events:
            self.pusher.offer(event)

    async def say(self, actor: Actor, where: str, text: str) -> None:
        await self.do(actor, SendMessage(conversation_id=where, content=text))

    async def browser(self, user_id: str) -> Browser:
        """A browser of this user that has subscribed."""
        made = self.pushes.browser(user_id)
        await self.stage.ctx.store.put_subscription(made.subscription, at_most=20)
        return made

    async def settled(self, user_id: str = "last") -> None:
        """All that was offered before has been pushed, or left out."""
        last = await self.browser(user_id)
        await self.do(host(), Notify(user_id=user_id, type="end"))
        await until(lambda: last.heard)


@asynccontextmanager
async def town(pushes: PushService, *, content: bool = True) -> AsyncIterator[Town]:
    async with staged() as stage:
        made = Town(stage, pushes, content=content)
        made.pusher.start()
        try:
            yield made
        finally:
            await made.pusher.close()


def bodies(browser: Browser) -> list[str]:
    return [each["body"] for each in browser.heard]


async def test_a_message_is_pushed_to_those_who_are_away_and_not_to_its_sender(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice = await here.stage.user("alice", name="Alice")
        await here.stage.group("g", "alice", "bob", "carol")
        browsers = {user_id: await here.browser(user_id) for user_id in ("alice", "bob", "carol")}
        await here.stage.ctx.presence.enter(ONLINE, "carol")
        await here.say(alice, "g", "hello")
        await until(lambda: browsers["bob"].heard)
        await here.settled()
    (heard,) = browsers["bob"].heard
    assert (heard["title"], heard["body"], heard["conversationId"]) == ("Alice", "hello", "g")
    assert (browsers["alice"].heard, browsers["carol"].heard) == ([], [])


async def test_all_browsers_of_a_user_are_pushed_to(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice = await here.stage.user("alice")
        await here.stage.user("bob")
        browsers = [await here.browser("bob") for _ in range(3)]
        await here.do(alice, SendMessage(to_user="bob", content="hi"))
        await until(lambda: all(bodies(browser) == ["hi"] for browser in browsers))


async def test_a_muted_conversation_is_not_pushed_but_notifications_are(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice, bob = await here.stage.user("alice"), await here.stage.user("bob")
        await here.stage.group("g", "alice", "bob")
        browser = await here.browser("bob")
        await here.do(bob, SetMuted(conversation_id="g", muted=True))
        await here.say(alice, "g", "quiet")
        await here.settled()
        assert browser.heard == []
        await here.do(host(), Notify(user_id="bob", type="booking", title="Tomorrow", data='{"n":7}'))
        await until(lambda: browser.heard)
    (heard,) = browser.heard
    assert (heard["kind"], heard["title"], heard["data"]) == ("booking", "Tomorrow", {"n": 7})


async def test_nothing_of_a_public_room_is_pushed(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice = await here.stage.user("alice")
        await ensure_room(here.stage.ctx, "lobby")
        browser = await here.browser("bob")
        await here.say(alice, "lobby", "x")
        await here.settled()
        assert browser.heard == []


async def test_without_content_only_ids_are_pushed(pushes: PushService) -> None:
    async with town(pushes, content=False) as here:
        alice = await here.stage.user("alice", name="Alice")
        await here.stage.group("g", "alice", "bob")
        browser = await here.browser("bob")
        await here.say(alice, "g", "secret")
        await until(lambda: browser.heard)
    (heard,) = browser.heard
    assert set(heard) == {"type", "conversationId", "messageId", "seq", "senderId"}


async def test_who_seemed_online_and_has_gone_is_pushed_what_they_did_not_read(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice, bob = await here.stage.user("alice"), await here.stage.user("bob")
        await here.stage.group("g", "alice", "bob")
        await here.stage.group("h", "alice", "bob")
        browser = await here.browser("bob")
        await here.stage.ctx.presence.enter(ONLINE, "bob")
        await here.say(alice, "g", "seen")
        await here.do(bob, MarkConversationRead(conversation_id="g"))
        await here.say(alice, "h", "not seen")
        await here.do(host(), Notify(user_id="bob", type="seen"))
        await here.do(bob, MarkNotificationsRead(ids=None))
        await here.do(host(), Notify(user_id="bob", type="late"))
        await here.settled()
        assert browser.heard == []
        await here.stage.ctx.presence.leave(ONLINE, "bob")
        await until(lambda: len(browser.heard) == 2)
        await here.settled("later")
    assert [each.get("body", each.get("kind")) for each in browser.heard] == ["not seen", "late"]


async def test_who_stays_online_is_pushed_nothing(pushes: PushService) -> None:
    async with town(pushes) as here:
        alice = await here.stage.user("alice")
        await here.stage.group("g", "alice", "bob")
        browser = await here.browser("bob")
        await here.stage.ctx.presence.enter(ONLINE, "bob")
        await here.say(alice, "g", "x")
        await here.settled()
        await until(lambda: not vars(here.pusher)["_later"])
        await here.settled("later")
        assert browser.heard == []


async def test_a_browser_that_is_gone_is_forgotten(pushes: PushService) -> None:
    async with town(pushes) as here:
        browser = await here.browser("bob")
        pushes.answers.append(web.Response(status=410))
        await here.do(host(), Notify(user_id="bob", type="x"))
        await until(lambda: here.outcomes["gone"])
        await until(lambda: pushes.asked)
        assert browser.heard == []
        await here.settled()
        assert list(await here.stage.ctx.store.subscriptions(["bob"])) == []


async def test_when_too_much_waits_the_oldest_is_left_out(
    pushes: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 3)
    async with staged() as stage:
        here = Town(stage, pushes)
        browser = await here.browser("bob")
        for number in range(5):
            await here.do(host(), Notify(user_id="bob", type=f"n{number}"))
        here.pusher.start()
        await until(lambda: len(browser.heard) == 3)
        await here.pusher.close()
        assert sorted(each["kind"] for each in browser.heard) == ["n2", "n3", "n4"]
        assert here.outcomes["dropped"] == 2


# --- subscribing ---------------------------------------------------------------------------------------


class Subscribing:
    """A stage whose server pushes, to public addresses only."""

    def __init__(self, stage: Stage, alice: Actor) -> None:
        self.stage, self.alice = stage, alice

    async def subscribe(self, endpoint: str, browser: Browser, **keys: str) -> SubscriptionReply:
        command = SubscribePush(endpoint=endpoint, **{**browser.keys, **keys})
        reply = await self.stage.do(self.alice, command)
        assert isinstance(reply, SubscriptionReply)
        return reply


@pytest.fixture
async def subscribing() -> AsyncIterator[Subscribing]:
    async with staged(pushing=PushTargets(PUBLIC)) as stage:
        yield Subscribing(stage, await stage.user("alice"))


ENDPOINT = "https://push.example.com/send/1"


async def test_a_browser_subscribes_once_and_is_forgotten_when_it_says_so(
    subscribing: Subscribing, pushes: PushService
) -> None:
    stage, alice = subscribing.stage, subscribing.alice
    browser = pushes.browser("alice")
    assert await stage.do(alice, GetPushKey()) == PushKey(public_key=PUBLIC)
    first = await subscribing.subscribe(ENDPOINT, browser)
    again = await subscribing.subscribe(ENDPOINT, browser)
    assert (first.created, again.created) == (True, False)
    (kept,) = await stage.ctx.store.subscriptions(["alice"])
    assert (kept.endpoint, kept.p256dh) == (ENDPOINT, browser.keys["p256dh"])
    await stage.do(await stage.user("bob"), UnsubscribePush(endpoint=ENDPOINT))
    assert len(await stage.ctx.store.subscriptions(["alice"])) == 1
    await stage.do(alice, UnsubscribePush(endpoint=ENDPOINT))
    assert list(await stage.ctx.store.subscriptions(["alice"])) == []


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://push.example.com/1", "https://127.0.0.1/1", "https://[::1]/1", "https://10.0.0.7/1"),
        *("https://169.254.169.254/latest/meta-data", "https://[::ffff:192.168.0.1]/", "https://localhost/1"),
        *("https://2130706433/1", "https://0x7f.1/1", "https://127.1/1", "https://[64:ff9b::a00:1]/"),
        *("https://0.0.0.0/", "https://[fd00::1]/", "https://224.0.0.1/", "https://100.64.0.1/"),
    ],
)
async def test_a_private_network_is_never_pushed_into(
    subscribing: Subscribing, pushes: PushService, endpoint: str
) -> None:
    with pytest.raises(InvalidFormat, match="endpoint"):
        await subscribing.subscribe(endpoint, pushes.browser("alice"))
    assert list(await subscribing.stage.ctx.store.subscriptions(["alice"])) == []


async def test_a_key_that_is_none_is_refused(subscribing: Subscribing, pushes: PushService) -> None:
    with pytest.raises(InvalidFormat, match="p256dh"):
        await subscribing.subscribe(ENDPOINT, pushes.browser("alice"), p256dh="B" * 87)


async def test_a_server_that_does_not_push_says_so(stage: Stage, pushes: PushService) -> None:
    alice = await stage.user("alice")
    assert await stage.do(alice, GetPushKey()) == PushKey(public_key=None)
    with pytest.raises(InvalidFormat, match="does not push"):
        await stage.do(alice, SubscribePush(endpoint=ENDPOINT, **pushes.browser("alice").keys))


async def test_the_usual_way_leads_outside_only(subscribing: Subscribing, pushes: PushService) -> None:
    """Also where a name leads inside later: what is connected to is looked at each time."""
    way = Outgoing()
    kept = Subscription(
        user_id="alice",
        endpoint=f"https://localhost:{pushes.port}/send/1",
        created_at=subscribing.stage.clock(),
        **pushes.browser("alice").keys,
    )
    await subscribing.stage.ctx.store.put_subscription(kept, at_most=20)
    outcomes: Counter[str] = Counter()
    key = VapidKey(private_key(SECRET), "mailto:a@b.example")
    pusher = Pusher(
        subscribing.stage.ctx,
        way,
        key,
        content=True,
        grace_seconds=0,
        observe=lambda outcome: outcomes.update([outcome]),
    )
    pusher.start()
    for event in (await subscribing.stage.outcome(host(), Notify(user_id="alice", type="x"))).events:
        pusher.offer(event)
    await until(lambda: outcomes["refused"])
    await pusher.close()
    assert pushes.asked == []


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made
