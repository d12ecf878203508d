"""Letters to a real push service: brought, tried again, given up, and never more than a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from messaging.domain.pushing import Subscription
from messaging.outgoing.client import Outgoing
from messaging.push import mail as module
from messaging.push.keys import VapidKey, new_key, private_key
from messaging.push.letters import Letter
from messaging.push.mail import Mail
from tests.push.browsers import Browser, PushService, until, who

SECRET, PUBLIC = new_key()


class Office:
    """Mail under test, with what became of its letters."""

    def __init__(self, out: Outgoing) -> None:
        self.outcomes: Counter[str] = Counter()
        self.gone: list[Subscription] = []
        key = VapidKey(private_key(SECRET), "mailto:a@b.example")
        self.mail = Mail(out, key, gone=self._gone, observe=self._observe, pause_seconds=0.01)

    async def _gone(self, subscription: Subscription) -> None:
        self.gone.append(subscription)

    def _observe(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def post(self, browser: Browser, text: str = '{"n":1}', topic: str = "t") -> None:
        self.mail.post(Letter(to=browser.subscription, payload=text.encode(), topic=topic))


@asynccontextmanager
async def office(out: Outgoing) -> AsyncIterator[Office]:
    opened = Office(out)
    opened.mail.start()
    try:
        yield opened
    finally:
        await opened.mail.close()


async def test_a_browser_can_read_what_is_pushed_and_its_service_knows_who_sent_it(
    pushes: PushService,
) -> None:
    bob = pushes.browser("bob")
    async with office(pushes.way()) as here:
        here.post(bob, '{"hello":"Zoé"}', "topic-1")
        await until(lambda: here.outcomes)
    assert bob.heard == [{"hello": "Zoé"}]
    (headers,) = bob.headers
    assert headers["Content-Encoding"] == "aes128gcm"
    assert (headers["Topic"], headers["Urgency"], headers["TTL"]) == ("topic-1", "high", "86400")
    claims, key = who(headers)
    assert (claims["aud"], claims["sub"], key) == (
        f"https://127.0.0.1:{pushes.port}",
        "mailto:a@b.example",
        PUBLIC,
    )
    assert here.outcomes == {"sent": 1}


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_told_to_be(pushes: PushService, status: int) -> None:
    bob = pushes.browser("bob")
    pushes.answers.append(web.Response(status=status))
    async with office(pushes.way()) as here:
        here.post(bob)
        await until(lambda: here.gone)
    assert here.gone == [bob.subscription]
    assert here.outcomes == {"gone": 1}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_was_not_taken_is_tried_again_and_given_up_after_a_while(
    pushes: PushService, status: int
) -> None:
    bob = pushes.browser("bob")
    async with office(pushes.way()) as here:
        pushes.answers.append(web.Response(status=status, headers={"Retry-After": "0"}))
        here.post(bob)
        await until(lambda: here.outcomes)
        assert here.outcomes == {"sent": 1}
        assert bob.heard
        pushes.answers.extend(web.Response(status=status) for _ in range(3))
        here.post(bob)
        await until(lambda: here.outcomes["failed"])
    assert len(bob.heard) == 1
    assert len(pushes.asked) == 5


@pytest.mark.parametrize("status", [301, 400, 401, 403, 413])
async def test_what_is_refused_is_not_tried_again_and_redirects_are_not_followed(
    pushes: PushService, status: int
) -> None:
    bob = pushes.browser("bob")
    pushes.answers.append(web.Response(status=status, headers={"Location": bob.endpoint}))
    async with office(pushes.way()) as here:
        here.post(bob)
        await until(lambda: here.outcomes["failed"])
    assert (len(pushes.asked), bob.heard) == (1, [])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"])
async def test_nothing_is_pushed_into_a_private_network(pushes: PushService, host: str) -> None:
    bob = pushes.browser("bob")
    bob.endpoint = f"https://{host}:{pushes.port}/send/1"
    async with office(Outgoing()) as here:
        here.post(bob)
        await until(lambda: here.outcomes["refused"] or here.outcomes["failed"], 20)
    assert pushes.asked == []


async def test_a_slow_address_holds_up_nobody_else(pushes: PushService) -> None:
    mallory, bob = pushes.browser("mallory", "slow"), pushes.browser("bob")
    pushes.gate.clear()
    async with office(pushes.way()) as here:
        for _ in range(100):
            here.post(mallory)
        here.post(bob)
        await until(lambda: bob.heard)
        assert pushes.asked.count("/slow/1") <= 2
        pushes.gate.set()


async def test_when_too_many_wait_the_oldest_are_thrown_away(
    pushes: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LETTERS", 5)
    bob = pushes.browser("bob")
    here = Office(pushes.way())
    for number in range(8):
        here.post(bob, f'{{"n":{number}}}')
    here.mail.start()
    await until(lambda: here.outcomes["sent"] == 5)
    await here.mail.close()
    assert sorted(each["n"] for each in bob.heard) == [3, 4, 5, 6, 7]
    assert here.outcomes == {"dropped": 3, "sent": 5}


async def test_a_fault_in_one_letter_ends_nothing(pushes: PushService) -> None:
    bob = pushes.browser("bob")
    broken = replace(bob.subscription, user_id="x", p256dh="AA", auth="AA")
    async with office(pushes.way()) as here:
        here.mail.post(Letter(to=broken, payload=b"{}", topic="t"))
        here.post(bob)
        await until(lambda: bob.heard and here.outcomes["failed"])
