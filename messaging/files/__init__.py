"""Files: where the bytes of uploads are kept, behind `service.ports_uploads.Files`."""

from __future__ import annotations

from pathlib import Path

from messaging.service.ports_uploads import Files


def open_files(*, url: str | None, mongodb_uri: str | None, folder: Path) -> Files:
    """What `url` names (object storage), else GridFS in the MongoDB database, else the folder.

    Connects to nothing yet. Raises ImportError where object storage is asked for without the extra `s3`.
    """
    if url is not None:
        from messaging.files.objects import ObjectFiles

        return ObjectFiles(url)
    if mongodb_uri is not None:
        from messaging.files.gridfs import GridFsFiles

        return GridFsFiles(mongodb_uri)
    from messaging.files.folder import FolderFiles

    return FolderFiles(folder)
