"""How far a change of presence goes: once to each connection of a contact, and to nobody else."""

from __future__ import annotations

from messaging.domain.commands import Command, PutConversation, PutUser
from messaging.domain.models import Kind, Profile
from tests.gateway.house import Process, built, until
from tests.stage import service

CONVERSATIONS, CONTACTS, STRANGERS = 200, 50, 100


async def test_somebody_in_many_conversations_is_announced_once_to_each_contact_and_to_no_room() -> None:
    async with built() as house:
        one = house.one
        for user_id in ("star", *(f"c{n}" for n in range(CONTACTS))):
            await prepared(one, PutUser(profile=Profile(id=user_id)))
        for number in range(CONVERSATIONS):  # four with each contact
            members = ("star", f"c{number % CONTACTS}")
            await prepared(one, PutConversation(conversation_id=f"g{number}", member_ids=members))
        await prepared(one, PutConversation(conversation_id="lobby", kind=Kind.ROOM))
        contacts = [await one.connect(f"c{n}") for n in range(CONTACTS)]
        strangers = [await one.connect(f"s{n}") for n in range(STRANGERS)]
        for stranger in strangers:
            assert (await stranger.join("lobby"))["success"]
        star = await one.connect("star")
        assert (await star.join("lobby"))["success"]
        await until(lambda: all(contact.of("user-online") for contact in contacts))
        await star.call("set-status", status="away")
        await until(lambda: all(len(contact.of("user-online")) == 2 for contact in contacts))
        told = [[seen["status"] for seen in contact.of("user-online")] for contact in contacts]
        assert told == [["online", "away"]] * CONTACTS
        assert not any(stranger.of("user-online") for stranger in strangers)


async def prepared(process: Process, command: Command) -> None:
    await process.gateway.perform(service(), command)
