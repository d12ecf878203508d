"""Uploads: who may send how much, who may see them, which messages they belong to, and what is collected."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from messaging.domain import ids
from messaging.domain.commands import (
    AbandonUpload,
    Actor,
    BeginUpload,
    FinishUpload,
    GetUpload,
    GetUploadLink,
)
from messaging.domain.errors import ClientError, InvalidFormat, MessageNotFound, PayloadTooLarge
from messaging.domain.models import Attachment, Message
from messaging.domain.permissions import Action, permit
from messaging.domain.replies import Done, UploadLink, UploadReply
from messaging.domain.uploads import Attached, Upload, clean_file_name, is_upload_id, upload_of
from messaging.service.context import Context, Outcome
from messaging.service.limits import count_query
from messaging.service.ports_uploads import Files

LINK_SECONDS = 3_600
"""How long a signed link can be used, at least; at most twice as long, so that a page that asks again gets
the same link, and browsers find the picture in their cache."""
UNATTACHED_LIFE = timedelta(days=1)
CHECK_EVERY = timedelta(hours=1)
_IN_FLIGHT = timedelta(minutes=10)
"""An upload is attached before its message is stored; for so long nobody asks where that is."""
_COLLECTED_AT_ONCE = 50
_FORGOTTEN_AT_ONCE = 10
_KEY = "uploads"
_ID_BYTES = 16

logger = logging.getLogger(__name__)


# --- sending ---


async def begin_upload(ctx: Context, actor: Actor, command: BeginUpload) -> Outcome:
    """Room for a file that is about to come; PayloadTooLarge where the user has used theirs up."""
    await count_query(ctx, actor)
    upload = Upload(
        id=secrets.token_urlsafe(_ID_BYTES),
        user_id=actor.user_id,
        file_name=clean_file_name(command.file_name),
        file_size=command.at_most,
        created_at=ctx.clock(),
    )
    await ctx.store.keep_upload(upload)
    try:
        await _check_quota(ctx, actor)
    except BaseException:
        await ctx.store.drop_upload(upload.id)
        raise
    return Outcome(reply=UploadReply(upload=upload))


async def finish_upload(ctx: Context, actor: Actor, command: FinishUpload) -> Outcome:
    """The file is stored, and this is what it turned out to be. There was room for it."""
    del actor
    upload = replace(command.upload, ready=True)
    if not await ctx.store.change_upload(upload):
        raise _gone()  # its user was erased meanwhile
    return Outcome(reply=UploadReply(upload=upload))


async def abandon_upload(ctx: Context, actor: Actor, command: AbandonUpload) -> Outcome:
    """The file did not come, or was refused."""
    del actor
    await ctx.store.drop_upload(command.upload_id)
    return Outcome(reply=Done())


async def _check_quota(ctx: Context, actor: Actor) -> None:
    """What is coming in counts as what it may become, so it comes into no more room than there is. Of several
    that begin at the same moment and have no room together, all may be refused."""
    quota = ctx.policy.upload_quota_bytes
    if not actor.service and await ctx.store.uploaded_bytes(actor.user_id) > quota:
        raise PayloadTooLarge("You have used up your room for uploads.", limit=quota)


# --- looking ---


async def get_upload(ctx: Context, actor: Actor, command: GetUpload) -> Outcome:
    """An upload that the user sent, or that belongs to a message that they may read."""
    return Outcome(reply=UploadReply(upload=await _readable(ctx, actor, command.upload_id)))


async def get_upload_link(ctx: Context, actor: Actor, command: GetUploadLink) -> Outcome:
    """A path that shows it to whoever has the path, for a while: what an <img> can be given."""
    upload = await _readable(ctx, actor, command.upload_id)
    span = 2 * LINK_SECONDS
    expires = (int(ctx.clock().timestamp()) // LINK_SECONDS) * LINK_SECONDS + span
    signature = _signature(await ctx.store.shared_key(_KEY), upload.id, expires)
    path = f"{upload.path}?expires={expires}&signature={signature}"
    return Outcome(reply=UploadLink(path=path, expires_at=datetime.fromtimestamp(expires, UTC)))


async def open_link(ctx: Context, upload_id: str, expires: str, signature: str) -> Upload:
    """The upload that a signed link shows; MessageNotFound for one that is wrong, or no longer good."""
    if not (is_upload_id(upload_id) and expires.isascii() and expires.isdigit() and len(expires) < 16):
        raise _gone()
    wanted = _signature(await ctx.store.shared_key(_KEY), upload_id, int(expires))
    if not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise _gone()
    if int(expires) < ctx.clock().timestamp():
        raise _gone()
    return await _ready(ctx, upload_id)


def _signature(key: bytes, upload_id: str, expires: int) -> str:
    digest = hmac.digest(key, f"{upload_id}:{expires}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def _readable(ctx: Context, actor: Actor, upload_id: str) -> Upload:
    upload = await _ready(ctx, upload_id)
    if actor.service or upload.user_id == actor.user_id:
        return upload
    places = await ctx.store.attached(upload.id)
    mine = {p.conversation_id for p in places if await _may_read(ctx, actor, p.conversation_id)}
    if not await _living(ctx, [place for place in places if place.conversation_id in mine]):
        raise _gone()
    return upload


async def _ready(ctx: Context, upload_id: str) -> Upload:
    found = await ctx.store.uploads([upload_id]) if is_upload_id(upload_id) else {}
    upload = found.get(upload_id)
    if upload is None or not upload.ready:
        raise _gone()
    return upload


def _gone() -> ClientError:
    return MessageNotFound("There is no such upload.")


async def _may_read(ctx: Context, actor: Actor, conversation_id: str) -> bool:
    seat = await ctx.seats.find(conversation_id, actor.user_id)
    try:
        permit(Action.READ, seat.conversation, seat.role, service=actor.service)
    except ClientError:
        return False
    return True


async def _living(ctx: Context, places: Sequence[Attached]) -> list[Attached]:
    """Those of the places whose message is there, and not deleted."""
    if not places:
        return []
    messages = await ctx.store.messages([place.message_id for place in places])
    living = {message.id for message in messages.values() if message.deleted_at is None}
    return [place for place in places if place.message_id in living]


# --- attaching ---


def uploads_in(attachments: Collection[Attachment]) -> list[str]:
    """The ids of the uploads that a message names; mostly none."""
    return [found for each in attachments if (found := upload_of(each.url)) is not None]


async def attach(
    ctx: Context, actor: Actor, attachments: Sequence[Attachment], conversation_id: str, message_id: int
) -> tuple[Attachment, ...]:
    """Let a message that is about to be stored have its uploads, if its sender may see them; so they are
    not collected before it is there. The attachments, with what their sender did not say of the uploads."""
    named = uploads_in(attachments)
    for upload_id in named:
        try:
            await _readable(ctx, actor, upload_id)
        except MessageNotFound:
            raise _not_there() from None
    await ctx.store.attach(_places(named, conversation_id, message_id))
    known = await ctx.store.uploads(named)
    if not all(upload_id in known and known[upload_id].ready for upload_id in named):
        raise _not_there()  # collected this moment
    return tuple(_described(each, known) for each in attachments)


def _described(attachment: Attachment, uploads: Mapping[str, Upload]) -> Attachment:
    """An attachment that is an upload itself, not its thumbnail, with the upload's own name, size and type
    where it came without. A name that nobody gave is the end of the URL."""
    path, _, query = attachment.url.partition("?")
    upload = uploads.get(upload_of(attachment.url) or "")
    if upload is None or path != upload.path or "thumbnail" in query:
        return attachment
    return replace(
        attachment,
        file_name=upload.file_name if attachment.file_name == upload.id else attachment.file_name,
        file_size=attachment.file_size or upload.file_size,
        mime_type=attachment.mime_type or upload.mime_type,
    )


async def move_attached(ctx: Context, message: Message, message_id: int) -> None:
    """Let a message that is stored have its uploads under its own id, not under the one that it was to get:
    that may be another one's. Again: nothing changes."""
    named = uploads_in(message.attachments)
    await ctx.store.attach(_places(named, message.conversation_id, message.id))
    await ctx.store.detach(_places(named, message.conversation_id, message_id))


def _places(upload_ids: Collection[str], conversation_id: str, message_id: int) -> list[Attached]:
    return [
        Attached(upload_id=upload_id, conversation_id=conversation_id, message_id=message_id)
        for upload_id in dict.fromkeys(upload_ids)
    ]


def _not_there() -> ClientError:
    return InvalidFormat("An attachment names an upload that is not there.", field="attachments")


# --- collecting ---


def thumbnail_of(upload_id: str) -> str:
    """What the file of an upload's thumbnail is called."""
    return f"{upload_id}.thumbnail"


async def collect(ctx: Context, files: Files) -> bool:
    """Look at some of the uploads that were not looked at for an hour: forget the messages that are gone, and
    remove what belongs to none, a day after it came. Whether there may be more."""
    now = ctx.clock()
    found = await ctx.store.unchecked_uploads(before=now - CHECK_EVERY, limit=_COLLECTED_AT_ONCE)
    for upload in found:
        try:
            keep = await _has_place(ctx, upload) or upload.created_at >= now - _life(upload)
            if not keep:
                await _remove(ctx, files, upload)
        except Exception as error:
            shown = None if isinstance(error, ClientError) else error
            logger.warning("an upload cannot be collected now, and is tried again in an hour", exc_info=shown)
            keep = True
        if keep:
            await ctx.store.check_upload(upload.id, at=now)
    return len(found) == _COLLECTED_AT_ONCE


def _life(upload: Upload) -> timedelta:
    return UNATTACHED_LIFE if upload.ready else CHECK_EVERY


async def _remove(ctx: Context, files: Files, upload: Upload) -> None:
    """Remove an upload that no message has. Whoever attaches it at this moment sees that it is no longer
    ready, or is seen here."""
    await ctx.store.change_upload(replace(upload, ready=False))
    if await ctx.store.attached(upload.id):
        await ctx.store.change_upload(upload)
        return
    await _delete(ctx, files, upload)


async def _delete(ctx: Context, files: Files, upload: Upload) -> None:
    await files.delete(thumbnail_of(upload.id))
    await files.delete(upload.id)
    await ctx.store.drop_upload(upload.id)  # last, so that nothing is left when this breaks off


# --- erasing ---


async def forget_uploads(ctx: Context, files: Files, user_id: str, *, messages: bool) -> AsyncIterator[None]:
    """Remove a user's uploads, a few at a time: all of them, or without `messages` those that no message has.
    What others have attached, too, goes with the user's messages."""
    last = ""
    while found := await ctx.store.uploads_of(user_id, after=last, limit=_FORGOTTEN_AT_ONCE):
        for upload in found:
            if messages:
                await _delete(ctx, files, upload)
            elif not await _has_place(ctx, upload):
                await _remove(ctx, files, upload)
        last = found[-1].id
        yield None


async def _has_place(ctx: Context, upload: Upload) -> bool:
    """Whether there is a message that has it, or one on its way. Those that are gone are forgotten."""
    places = await ctx.store.attached(upload.id)
    living = await _living(ctx, places)
    began = ctx.clock() - _IN_FLIGHT
    gone = [place for place in places if place not in living and ids.time_of(place.message_id) < began]
    await ctx.store.detach(gone)
    return len(gone) < len(places)
