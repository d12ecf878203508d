"""Devices on plain WebSockets: how they are called, and where they go on."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.transports.sockets import Client, Site, serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as made:
        yield made


async def named(client: Client) -> str:
    """What the server calls the client's device."""
    connected = await client.until("connection_event")
    assert connected["payload"]["event"] == "connected"
    return str(connected["payload"]["client_id"])


async def test_a_device_has_the_name_that_it_asks_for_while_no_other_has_it(site: Site) -> None:
    async with await site.connect("/ws", query="client_id=phone") as phone:
        assert await named(phone) == "phone"
        async with await site.connect("/ws", query="client_id=phone") as twin:
            assert uuid.UUID(await named(twin)).version == 4
        async with await site.connect("/ws", "bob", query="client_id=phone") as bobs:
            assert await named(bobs) == "phone"
    await site.swept()
    async with await site.connect("/ws", query="client_id=phone") as again:
        assert await named(again) == "phone"


@pytest.mark.parametrize("wished", ["", "x" * 65, "a%00b", "a%0Ab", "%C2%85"])
async def test_a_device_without_a_fit_name_is_given_one(site: Site, wished: str) -> None:
    async with await site.connect("/ws", query=f"client_id={wished}") as client:
        assert uuid.UUID(await named(client)).version == 4


async def test_a_device_may_have_any_other_name_of_64_characters(site: Site) -> None:
    async with await site.connect("/ws", query="client_id=" + "%C3%A9" * 64) as client:
        assert await named(client) == "é" * 64


@pytest.mark.parametrize("after", ["", "0", "x", "-1", "99999999999999999999"])
async def test_what_is_no_message_id_is_no_place_to_go_on_after(site: Site, after: str) -> None:
    async with await site.connect("/ws", query=f"after={after}") as client:
        await client.works()
