"""Erasing users: what goes, what stays, and that it goes on after a crash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from messaging.domain.commands import (
    Actor,
    BeginUpload,
    EraseUser,
    ExportUser,
    FinishUpload,
    GetConversation,
    GetUser,
    ListReports,
    LoadHistory,
    PutMember,
    ReportMessage,
    SendMessage,
    SetReaction,
)
from messaging.domain.errors import MessageNotFound, PermissionDenied, RoomNotFound, UserNotFound
from messaging.domain.events import (
    Announcement,
    ConversationChanged,
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    ReactionChanged,
    UserSentAway,
)
from messaging.domain.forgetting import Record
from messaging.domain.models import Attachment, MessageView, Reaction, Role
from messaging.domain.replies import ConversationReply, HistoryPage, ReportList, UploadReply, UserExport
from messaging.domain.uploads import Upload
from messaging.service import erasing
from messaging.service.erasing import erase
from messaging.service.ports import Store
from messaging.service.ports_uploads import FileGone, Files
from messaging.service.uploads import thumbnail_of
from tests.stage import Stage, service, staged


@pytest.fixture
async def stage(store: Store, files: Files) -> AsyncIterator[Stage]:
    """A stage on each kind of store, with uploads in a folder."""
    async with staged(store=store) as made:
        made.files = files
        yield made


def kept_in(stage: Stage) -> Files:
    assert stage.files is not None
    return stage.files


async def erased(stage: Stage, user_id: str, *, messages: bool = False) -> None:
    """A user is erased, to the end."""
    await stage.do(service(), EraseUser(user_id=user_id, messages=messages))
    await finished(stage)


async def finished(stage: Stage) -> None:
    """Every erasure is carried out to its end."""
    while begun := await stage.ctx.store.erasures(limit=1):
        async for events in erase(stage.ctx, kept_in(stage), begun[0]):
            noted(stage, events)


def noted(stage: Stage, events: Sequence[Announcement]) -> None:
    """A step told this."""
    for event in events:
        stage.ctx.seats.note(event)
    stage.events += events


async def kept(stage: Stage, user_id: str) -> set[str]:
    """The kinds of records that there are of a user."""
    page = await stage.ctx.store.records(user_id, limit=9)
    kinds = {record.kind for record in page.records}
    while page.next is not None:
        page = await stage.ctx.store.records(user_id, after=page.next, limit=9)
        kinds |= {record.kind for record in page.records}
    return kinds


async def history(stage: Stage, actor: Actor, where: str) -> Sequence[MessageView]:
    reply = await stage.do(actor, LoadHistory(conversation_id=where))
    assert isinstance(reply, HistoryPage)
    return reply.messages


async def test_an_erased_user_is_sent_away_and_known_to_nobody(stage: Stage) -> None:
    alice, bob = await stage.user("alice", name="Alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g", "I was here")
    await erased(stage, "alice")
    assert [e.user_id for e in stage.events if isinstance(e, UserSentAway)] == ["alice"]
    with pytest.raises(UserNotFound):
        await stage.do(bob, GetUser(user_id="alice"))
    (view,) = await history(stage, bob, "g")
    assert (view.message.content, view.sender.display_name) == ("I was here", "alice")
    assert await stage.ctx.store.member_of("alice") == frozenset()
    assert list(await stage.ctx.store.erasures(limit=1)) == []
    assert await kept(stage, "alice") == {"disconnections"}


async def test_a_group_of_an_erased_owner_has_an_heir(stage: Stage) -> None:
    await stage.user("alice")
    bob = await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.do(service(), PutMember(conversation_id="g", user_id="alice", role=Role.OWNER))
    await erased(stage, "alice")
    reply = await stage.do(bob, GetConversation(conversation_id="g"))
    assert isinstance(reply, ConversationReply)
    assert [(m.profile.id, m.role) for m in reply.view.members or ()] == [("bob", Role.OWNER)]
    removed = [(e.user_id, e.conversation.id) for e in stage.events if isinstance(e, MemberRemoved)]
    assert removed == [("alice", "g")]


async def test_messages_go_too_where_that_is_asked_for(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    for actor, content in ((alice, "mine"), (bob, "his"), (alice, "mine again")):
        await stage.send(actor, "g", content)
    await erased(stage, "alice", messages=True)
    told = [
        (view.message.content, view.message.deleted_at is None) for view in await history(stage, bob, "g")
    ]
    assert told == [("", False), ("his", True), ("", False)]


async def test_a_partner_keeps_the_conversation_and_cannot_write_to_who_is_gone(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    first = await stage.do(alice, SendMessage(to_user="bob", content="hello"))
    assert first is not None
    await erased(stage, "alice")
    assert any(isinstance(e, ConversationChanged) for e in stage.events)
    assert len(await history(stage, bob, "dm:alice:bob")) == 1
    with pytest.raises(UserNotFound):
        await stage.do(bob, SendMessage(to_user="alice", content="still there?"))
    with pytest.raises(UserNotFound):
        await stage.do(bob, SendMessage(conversation_id="dm:alice:bob", content="still there?"))


async def test_who_is_made_anew_can_talk_to_their_partner_again(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.do(alice, SendMessage(to_user="bob", content="hello"))
    await erased(stage, "alice")
    alice = await stage.user("alice")
    with pytest.raises(RoomNotFound):
        await history(stage, alice, "dm:alice:bob")
    stage.events.clear()
    await stage.do(bob, SendMessage(to_user="alice", content="you again!"))
    assert {e.user_id for e in stage.events if isinstance(e, MemberAdded)} == {"alice", "bob"}
    assert len(await history(stage, alice, "dm:alice:bob")) == 2
    membership = await stage.ctx.store.membership("dm:alice:bob", "alice")
    assert membership is not None
    assert (membership.conversation.member_count, membership.unread) == (2, 1)


async def test_erasing_goes_on_where_it_was_when_the_process_died(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g", "mine")
    await stage.do(service(), EraseUser(user_id="alice", messages=True))
    (begun,) = await stage.ctx.store.erasures(limit=1)
    noted(stage, await anext(erase(stage.ctx, kept_in(stage), begun)))  # and then nothing, as after a crash
    await stage.do(service(), EraseUser(user_id="alice"))  # asked for again: nothing is wrong with that
    await finished(stage)
    (view,) = await history(stage, bob, "g")
    assert view.message.deleted_at is not None


async def test_no_step_is_long_however_much_there_is(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "AT_ONCE", 2)
    monkeypatch.setattr(erasing, "PLACES_AT_ONCE", 3)
    alice = await stage.user("alice")
    for number in range(7):
        await stage.group(f"g{number}", "alice")
        for _ in range(5):
            await stage.send(alice, f"g{number}")
    await stage.do(service(), EraseUser(user_id="alice", messages=True))
    (begun,) = await stage.ctx.store.erasures(limit=1)
    steps = [events async for events in erase(stage.ctx, kept_in(stage), begun)]
    gone = [sum(isinstance(event, MemberRemoved) for event in events) for events in steps]
    deleted = [sum(isinstance(event, MessageDeleted) for event in events) for events in steps]
    assert (sum(gone), max(gone)) == (7, 2)
    assert (sum(deleted), max(deleted)) == (35, 2)
    assert await kept(stage, "alice") == {"disconnections"}


async def test_what_is_begun_anew_ends_the_erasure_that_was_under_way(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g", "mine")
    await stage.do(service(), EraseUser(user_id="alice"))
    (begun,) = await stage.ctx.store.erasures(limit=1)
    steps = erase(stage.ctx, kept_in(stage), begun)
    noted(stage, await anext(steps))
    await stage.do(service(), EraseUser(user_id="alice", messages=True))
    async for events in steps:
        noted(stage, events)
    assert len(await stage.ctx.store.erasures(limit=9)) == 1
    await finished(stage)
    (view,) = await history(stage, bob, "g")
    assert view.message.deleted_at is not None


async def test_only_services_erase_and_only_who_exists(stage: Stage) -> None:
    alice = await stage.user("alice")
    with pytest.raises(PermissionDenied):
        await stage.do(alice, EraseUser(user_id="alice"))
    with pytest.raises(UserNotFound):
        await stage.do(service(), EraseUser(user_id="nobody"))


# --- reactions and reports


async def test_reactions_are_taken_back_and_everybody_hears_of_it(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    message = await stage.send(bob, "g")
    for actor, emoji in ((alice, "👍"), (bob, "👍"), (alice, "🎉")):
        await stage.do(actor, SetReaction(message_id=message.id, emoji=emoji, present=True))
    await erased(stage, "alice")
    (view,) = await history(stage, bob, "g")
    assert view.message.reactions == (Reaction(emoji="👍", user_ids=("bob",)),)
    told = [event for event in stage.events if isinstance(event, ReactionChanged) and not event.added]
    assert {(event.user.id, event.emoji) for event in told} == {("alice", "👍"), ("alice", "🎉")}
    revs = [event.rev for event in told]
    assert revs == sorted(revs) == [4, 5]


async def test_what_was_reported_stays_but_nobody_knows_by_whom(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    message = await stage.send(bob, "g", "bad")
    await stage.do(alice, ReportMessage(message_id=message.id, reason="rude"))
    await erased(stage, "alice")
    reply = await stage.do(service(), ListReports(limit=9))
    assert isinstance(reply, ReportList)
    assert [(each.report.content, each.reporter) for each in reply.reports] == [("bad", None)]


# --- uploads


async def uploaded(stage: Stage, actor: Actor) -> Upload:
    """A picture with a thumbnail."""

    async def data() -> AsyncIterator[bytes]:
        yield b"data"

    begun = await stage.do(actor, BeginUpload(file_name="a.png", at_most=4))
    assert isinstance(begun, UploadReply)
    upload = replace(begun.upload, file_size=4, thumbnail=True)
    for name in (upload.id, thumbnail_of(upload.id)):
        await kept_in(stage).write(name, data())
    reply = await stage.do(actor, FinishUpload(upload=upload))
    assert isinstance(reply, UploadReply)
    return reply.upload


async def attached(stage: Stage, actor: Actor, upload: Upload) -> None:
    file = Attachment(id="0", url=upload.path, file_name="a.png")
    await stage.do(actor, SendMessage(conversation_id="g", attachments=(file,)))


async def there(stage: Stage, upload: Upload) -> tuple[bool, bool, bool]:
    """Whether an upload is known, its file there, and its thumbnail."""
    known = await stage.ctx.store.uploads([upload.id])
    found = [bool(known)]
    for name in (upload.id, thumbnail_of(upload.id)):
        try:
            found.append([chunk async for chunk in kept_in(stage).read(name, length=4)] == [b"data"])
        except FileGone:
            found.append(False)
    return found[0], found[1], found[2]


ALL, NONE = (True, True, True), (False, False, False)


async def test_files_of_kept_messages_stay_and_others_go(stage: Stage) -> None:
    alice, _ = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    used, loose = await uploaded(stage, alice), await uploaded(stage, alice)
    await attached(stage, alice, used)
    await erased(stage, "alice")
    assert (await there(stage, used), await there(stage, loose)) == (ALL, NONE)


async def test_with_the_messages_all_files_go_also_where_others_attached_them(stage: Stage) -> None:
    alice, bob = await stage.user("alice"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    used, loose, his = await uploaded(stage, alice), await uploaded(stage, alice), await uploaded(stage, bob)
    await attached(stage, alice, used)
    await attached(stage, bob, used)
    await attached(stage, bob, his)
    await erased(stage, "alice", messages=True)
    assert [await there(stage, each) for each in (used, loose, his)] == [NONE, NONE, ALL]


async def test_an_upload_that_was_coming_in_does_not_come_back(stage: Stage) -> None:
    alice = await stage.user("alice")
    begun = await stage.do(alice, BeginUpload(file_name="a.png", at_most=4))
    assert isinstance(begun, UploadReply)
    await erased(stage, "alice")
    with pytest.raises(MessageNotFound):
        await stage.do(alice, FinishUpload(upload=begun.upload))
    assert await stage.ctx.store.uploads([begun.upload.id]) == {}


async def exported(stage: Stage, actor: Actor, user_id: str) -> list[Record | MessageView]:
    reply = await stage.do(actor, ExportUser(user_id=user_id))
    assert isinstance(reply, UserExport)
    return [item async for page in reply.pages for item in page]


async def test_users_export_what_is_kept_of_them_and_services_of_anybody(stage: Stage) -> None:
    alice, bob = await stage.user("alice", name="Alice", email="a@example.com"), await stage.user("bob")
    await stage.group("g", "alice", "bob")
    await stage.send(alice, "g", "mine")
    await stage.send(bob, "g", "his")
    for actor in (alice, service()):
        items = await exported(stage, actor, "alice")
        records = {item.kind: item.values for item in items if isinstance(item, Record)}
        assert records["profile"]["email"] == "a@example.com"
        assert records["memberships"]["conversationId"] == "g"
        assert [item.message.content for item in items if isinstance(item, MessageView)] == ["mine"]
    with pytest.raises(PermissionDenied):
        await exported(stage, bob, "alice")
    with pytest.raises(UserNotFound):
        await exported(stage, service(), "nobody")
