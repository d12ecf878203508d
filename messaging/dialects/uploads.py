"""Uploads as REST shows them; an upload can be put into `attachments` as it is."""

from __future__ import annotations

from typing import Any

from messaging.dialects import shapes
from messaging.dialects.answers import NUMBER, TEXT, TIME, shape
from messaging.dialects.base import Payload
from messaging.dialects.fields import Field
from messaging.dialects.forms import Schema
from messaging.dialects.rest import Page, Route, Who
from messaging.domain.commands import GetUploadLink
from messaging.domain.replies import UploadLink
from messaging.domain.uploads import Upload, is_upload_id


class UploadId(Field[str]):
    """An upload."""

    document = {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}  # noqa: RUF012  as every field has it

    def read(self, value: object) -> str:
        """The id as it is; whether there is such an upload is seen later."""
        if not isinstance(value, str) or not is_upload_id(value):
            raise ValueError("must be the id of an upload")
        return value


class ThisUpload(Schema):
    """`/uploads/{id}`."""

    upload_id = UploadId(required=True, data_key="id")


def upload_body(upload: Upload) -> Payload:
    """An upload that was just stored."""
    shown: Payload = {
        "id": upload.id,
        "url": upload.path,
        "fileName": upload.file_name,
        "fileSize": upload.file_size,
        "mimeType": upload.mime_type,
    }
    if upload.width is not None:
        shown |= {"width": upload.width, "height": upload.height}
    if upload.thumbnail:
        shown["thumbnailUrl"] = f"{upload.path}?thumbnail=1"
    return {"upload": shown}


def _link(reply: UploadLink) -> Payload:
    return {"url": reply.path, "expiresAt": shapes.time(reply.expires_at)}


_BYTES: Payload = {"type": "string", "contentMediaType": "application/octet-stream"}
_UPLOAD = shape(
    {"width": NUMBER, "height": NUMBER, "thumbnailUrl": TEXT},
    id=TEXT,
    url=TEXT,
    fileName=TEXT,
    fileSize=NUMBER,
    mimeType=TEXT,
)

UPLOAD_ROUTES: tuple[Route[Any], ...] = (
    Route(
        name="getUploadLink",
        method="GET",
        path="/api/uploads/{id}/url",
        summary="A link that shows the upload to whoever has it, for at least an hour: for <img>",
        command=GetUploadLink,
        reply=UploadLink,
        shape=_link,
        answer=shape(url=TEXT, expiresAt=TIME),
        place=ThisUpload(),
    ),
)

UPLOAD_PAGES = (
    Page(
        name="upload",
        method="POST",
        path="/api/uploads",
        who=Who.USER,
        summary="Store a file (multipart/form-data, field `file`), to be attached to a message",
        answer=shape(upload=_UPLOAD),
        takes={"multipart/form-data": shape(file=_BYTES)},
    ),
    Page(
        name="getUpload",
        method="GET",
        path="/api/uploads/{id}",
        who=Who.USER,
        summary="The file; with `thumbnail=1` a small picture of it, with `Range` a part of it",
        media="application/octet-stream",
        answer=_BYTES,
        asks=(
            {"in": "path", "name": "id", "required": True, "schema": TEXT},
            {"in": "query", "name": "thumbnail", "schema": {"type": "string", "enum": ["1"]}},
            {"in": "query", "name": "token", "schema": TEXT},
        ),
    ),
)
