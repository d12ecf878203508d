"""Uploads over HTTP: taken, shown to whom they belong, harmless whatever they hold."""

from __future__ import annotations

import asyncio
import io
import os
import re
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from tests.acceptance.conftest import Service
from tests.acceptance.stage import Json, Stage, call, new_id, token
from tests.browser import Browser
from tests.servers import ServerProcess

SCRIPT = b"<script>document.title='hacked'</script>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>"
LIMIT = 10 * 1024 * 1024


@pytest.fixture(scope="module", params=["SQLite", "MongoDB and Redis"])
def servers(service: Service, request: pytest.FixtureRequest) -> tuple[ServerProcess, ...]:
    """One process on SQLite, or two as in production."""
    if request.param == "SQLite":
        return service({})
    production: dict[str, str] = request.getfixturevalue("on_mongodb_and_redis")
    return service(production, 2)


def picture(form: str = "PNG", size: tuple[int, int] = (800, 600), **options: Json) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, form, **options)
    return out.getvalue()


def huge_png() -> bytes:
    """A small file that says it is 50,000 pixels square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class Uploads:
    """What tests do with uploads."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.last = len(stage.servers) - 1

    async def send(self, user: str, data: object, name: str = "a.bin", **more: Json) -> tuple[int, Json]:
        form = aiohttp.FormData(quote_fields=False)  # as browsers do
        form.add_field("note", "before the file")
        form.add_field("file", data, filename=name, content_type=more.get("kind", "text/html"))
        url = self.stage.servers[0].url + "/api/uploads"
        headers = {"Authorization": f"Bearer {token(user)}"}
        async with self.stage.http.post(url, data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def sent(self, user: str, data: object, name: str = "a.bin") -> Json:
        status, body = await self.send(user, data, name)
        assert status == 201, body
        return body["upload"]

    async def get(
        self, path: str, user: str | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """From the last process."""
        if user is not None:
            headers["Authorization"] = f"Bearer {token(user)}"
        url = self.stage.servers[self.last].url + path
        async with self.stage.http.get(url, headers=headers) as answer:
            return answer.status, await answer.read(), dict(answer.headers)


@pytest.fixture
def uploads(stage: Stage) -> Uploads:
    return Uploads(stage)


async def test_a_picture_comes_back_as_it_was_with_a_small_one_beside_it(uploads: Uploads) -> None:
    alice, data = new_id(), picture()
    upload = await uploads.sent(alice, data, "été à la plage.png")
    assert upload == {
        "id": upload["id"],
        "url": f"/api/uploads/{upload['id']}",
        "fileName": "été à la plage.png",
        "fileSize": len(data),
        "mimeType": "image/png",
        "width": 800,
        "height": 600,
        "thumbnailUrl": f"/api/uploads/{upload['id']}?thumbnail=1",
    }
    status, body, headers = await uploads.get(upload["url"], alice)
    assert (status, body, headers["Content-Type"]) == (200, data, "image/png")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Content-Disposition"].startswith(
        "inline; filename=\"_t_ _ la plage.png\"; filename*=UTF-8''"
    )
    status, small, headers = await uploads.get(upload["thumbnailUrl"], alice)
    assert (status, headers["Content-Type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(small)) as seen:
        assert seen.size == (400, 300)


async def test_a_part_of_a_file_can_be_asked_for(uploads: Uploads) -> None:
    alice, data = new_id(), os.urandom(300_000)
    url = (await uploads.sent(alice, data))["url"]
    for asked, part in (
        ("bytes=100-199", data[100:200]),
        ("bytes=-5", data[-5:]),
        ("bytes=250000-", data[250_000:]),
    ):
        status, body, headers = await uploads.get(url, alice, Range=asked)
        assert (status, body) == (206, part)
        assert headers["Content-Range"].endswith(f"/{len(data)}")
    assert (await uploads.get(url, alice, Range="bytes=300000-"))[0] == 416
    assert (await uploads.get(url, alice, Range="nonsense"))[:2] == (200, data)


async def test_only_who_may_read_where_it_is_attached_may_have_it(uploads: Uploads) -> None:
    stage, (alice, bob, eve) = uploads.stage, (new_id(), new_id(), new_id())
    group = await stage.group(alice, bob)
    upload = await uploads.sent(alice, picture())
    url = upload["url"]
    assert (await uploads.get(url, bob))[0] == 404
    message = await stage.post(alice, group, "look", attachments=[upload])
    assert message["attachments"][0]["url"] == url
    assert (await uploads.get(url, bob))[0] == 200
    assert (await uploads.get(f"{url}?token={token(bob)}"))[0] == 200
    assert (await uploads.get(url, eve))[0] == 404
    assert (await uploads.get(url))[0] == 401
    gone = await stage.rest("DELETE", f"/api/messages/{message['id']}", user=alice)
    assert gone.status == 200
    assert (await uploads.get(url, bob))[0] == 404
    assert (await uploads.get(url, alice))[0] == 200


async def test_what_one_may_not_see_cannot_be_attached(uploads: Uploads) -> None:
    stage, (alice, eve) = uploads.stage, (new_id(), new_id())
    group = await stage.group(eve, alice)
    upload = await uploads.sent(alice, picture())
    client = await stage.messaging(eve)
    for link in (upload["url"], upload["url"] + "?thumbnail=1", "/api/uploads/" + "x" * 22, "/api/uploads/"):
        answer = await client.emit_with_ack(
            "send-message", {"conversationId": group, "content": "mine", "attachments": [link]}
        )
        assert (answer["success"], answer.get("code")) == (False, "INVALID_FORMAT")
    own = await uploads.sent(eve, picture())
    await call(client, "send-message", conversationId=group, content="", attachments=[own["url"]])
    assert await stage.stored(group, eve) != []


async def test_a_link_shows_it_to_whoever_has_the_link_and_no_other_does(uploads: Uploads) -> None:
    alice, data = new_id(), picture()
    upload = await uploads.sent(alice, data)
    _, body, _ = await uploads.get(upload["url"] + "/url", alice)
    link = re.search(r'"url":"([^"]+)"', body.decode())
    assert link is not None
    path = link[1]
    assert (await uploads.get(path))[:2] == (200, data)
    for wrong in (
        path[:-2] + "xx",
        path.replace("expires=1", "expires=2"),
        path.replace(upload["id"], "x" * 22),
        re.sub(r"expires=\d+", "expires=%C2%B2", path),
        re.sub(r"signature=.*", "signature=%C3%A9", path),
    ):
        assert (await uploads.get(wrong))[0] == 404, wrong


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("page.png", "application/octet-stream", b"<!doctype html><html><body>" + SCRIPT),
        ("drawing.svg", "application/octet-stream", SVG),
        ("plain.png", "application/octet-stream", SCRIPT),
        ("archive.zip", "application/octet-stream", b"PK\x03\x04" + bytes(1000)),
        ("paper.pdf", "application/octet-stream", b"%PDF-1.7\n" + SCRIPT),
    ],
)
async def test_what_browsers_might_run_is_only_saved(
    uploads: Uploads, name: str, kind: str, data: bytes
) -> None:
    alice = new_id()
    upload = await uploads.sent(alice, data, name)
    status, body, headers = await uploads.get(upload["url"], alice)
    assert (status, body, headers["Content-Type"]) == (200, data, kind)
    assert headers["Content-Disposition"].startswith(f'attachment; filename="{name}"')
    assert "width" not in upload


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("is too large", huge_png()),
        ("is cut off", picture("JPEG", (2000, 2000), quality=95)[:9_000]),
        ("is a picture and a script", b"GIF89a/*" + bytes(200) + b"*/=1;alert(1)"),
        ("is empty", b""),
    ],
)
async def test_a_file_is_refused_that(uploads: Uploads, why: str, data: bytes) -> None:
    alice = new_id()
    status, body = await uploads.send(alice, data, f"{why}.png")
    assert (status, body["error"]["code"]) == (400, "INVALID_FORMAT"), why
    assert (await uploads.send(alice, picture()))[0] == 201


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("x" * 400 + ".png", "x" * 251 + ".png"),
        ("...", "file"),
    ],
)
async def test_a_file_name_is_a_name_and_no_more(uploads: Uploads, given: str, kept: str) -> None:
    assert (await uploads.sent(new_id(), b"data", given))["fileName"] == kept


async def test_line_breaks_in_a_name_break_no_header(uploads: Uploads) -> None:
    alice = new_id()
    name = b"filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1.txt"
    body = b'--B\r\nContent-Disposition: form-data; name="file"; ' + name + b"\r\n\r\ndata\r\n--B--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = await uploads.stage.rest("POST", "/api/uploads", body, user=alice, headers=headers)
    assert answer.status == 201, answer
    _, _, told = await uploads.get(answer.body["upload"]["url"], alice)
    assert "Set-Cookie" not in told
    assert "\n" not in told["Content-Disposition"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=B", b"not a form"),
        ("multipart/form-data; boundary=B", b""),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--B--\r\n',
        ),
        ("multipart/form-data; boundary=B", b"--B\r\nno header at all"),
    ],
)
async def test_a_form_that_is_none_is_refused(uploads: Uploads, kind: str, body: bytes) -> None:
    answer = await uploads.stage.rest(
        "POST", "/api/uploads", body, user=new_id(), headers={"Content-Type": kind}
    )
    assert (answer.status, answer.code) == (400, "INVALID_FORMAT")


async def test_more_than_may_be_is_refused_and_costs_no_memory(uploads: Uploads) -> None:
    alice, server = new_id(), uploads.stage.servers[0]

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(512 * 1024)

    status, body = await uploads.send(alice, endless())
    assert (status, body["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    before = memory(server)
    urls = [(await uploads.sent(alice, io.BytesIO(os.urandom(LIMIT - 1000))))["url"] for _ in range(3)]
    for url in urls:
        assert len((await uploads.get(url, alice))[1]) == LIMIT - 1000
    assert memory(server) - before < 25 * 1024 * 1024


def memory(server: ServerProcess) -> int:
    """What a process has in memory, in bytes."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_of_a_client_that_goes_away_nothing_is_kept(uploads: Uploads) -> None:
    alice = new_id()

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(200_000)
        raise ConnectionAbortedError

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await uploads.send(alice, broken())
    folder = next(iter(Path(uploads.stage.servers[0].folder).rglob("*.uploads")), None)
    if folder is not None:
        async with asyncio.timeout(10):
            while any(path.name.startswith(".draft") for path in folder.iterdir()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_no_upload_runs_a_script_in_a_browser(uploads: Uploads, chromium: str, tmp_path: Path) -> None:
    alice = new_id()
    server = uploads.stage.servers[uploads.last].url
    async with Browser.running(chromium, tmp_path / "browser") as browser:
        for data, name in ((SVG, "x.svg"), (b"<!doctype html>" + SCRIPT, "x.html")):
            upload = await uploads.sent(alice, data, name)
            page = tmp_path / "page.html"
            link = f"{server}{upload['url']}?token={token(alice)}"
            page.write_text(f"<title>calm</title><img src='{link}'><iframe src='{link}'></iframe>")
            await browser.show(page.as_uri(), width=600)
            assert await browser.value("document.title") == "calm"
