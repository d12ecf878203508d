"""docs/add-a-dialect.md keeps its word: its code is a sixth protocol, by one file and one line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from messaging.dialects.base import Dialect
from messaging.transports.entrance import Entrance
from messaging.transports.origins import Origins
from messaging.transports.websocket import WebSockets
from tests.gateway.house import built, token, until
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "add-a-dialect.md").read_text()
HEARD_SECONDS = 5.0


def code() -> str:
    """The file that the page shows."""
    [found] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert isinstance(found, str)
    return found


def line() -> str:
    """The line that the page shows."""
    [found] = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)
    assert isinstance(found, str)
    return found


@pytest.fixture
def mini() -> Dialect:
    """The dialect of the page, loaded."""
    module = ModuleType("messaging.dialects.mini")
    exec(compile(code(), "docs/add-a-dialect.md", "exec"), vars(module))  # noqa: S102  it is our own document
    made: Dialect = module.Mini()
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with one file more, and one line."""
    for folder in ("messaging", "tests/dialects"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/__init__.py", "tests/servers.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    dialects = tmp_path / "messaging" / "dialects"
    (dialects / "mini.py").write_text(code())
    table = dialects / "__init__.py"
    before = table.read_text()
    after = before.replace('"/ws/rooms": Rooms()', f'"/ws/rooms": Rooms(), {line().rstrip(",")}')
    after = after.replace("from messaging.dialects.rooms", "from messaging.dialects.mini import Mini\n\\g", 1)
    assert after != before
    table.write_text(after.replace("\\g", "from messaging.dialects.rooms"))
    return tmp_path


def test_the_page_has_fewer_than_eighty_lines() -> None:
    assert len(PAGE.splitlines()) < 80


def test_one_file_and_one_line_more_pass_the_conformance_tests(checkout: Path) -> None:
    tests = ["-k", "mini", "tests/dialects/test_conformance.py"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout
    assert int(re.findall(r"(\d+) passed", run.stdout)[0]) > 30, run.stdout


async def test_two_people_talk_through_the_sixth_dialect(mini: Dialect) -> None:
    async with built() as house:
        gateway = house.one.gateway
        sockets = WebSockets(gateway, Entrance(gateway), Origins(()))
        app = web.Application()
        app.add_routes(sockets.routes({"/ws/mini": mini}))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/ws/mini"
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(url, params={"token": token("alice")}) as alice,
            http.ws_connect(url, params={"token": token("bob")}) as bob,
        ):
            told: dict[str, Any] = {"to": "bob", "content": "salut", "client_message_id": "1"}
            await alice.send_json({"type": "say", "body": told})
            heard = await bob.receive_json(timeout=HEARD_SECONDS)
            assert heard["body"] == {"id": heard["body"]["id"], "seq": 1, "from": "alice", "content": "salut"}
            assert await alice.receive_json(timeout=HEARD_SECONDS) == heard
            await alice.send_json({"type": "say", "body": told})
            assert await alice.receive_json(timeout=HEARD_SECONDS) == heard  # sent again, told again
            await bob.send_json({"type": "sing"})
            refused = await bob.receive_json(timeout=HEARD_SECONDS)
            assert (refused["type"], refused["body"]["code"]) == ("error", "INVALID_FORMAT")
        await runner.cleanup()


async def test_a_message_of_the_sixth_dialect_reaches_the_others(mini: Dialect) -> None:
    async with built() as house:
        one = house.one
        bob = await one.connect("bob")
        one.wire = type(one.wire)(mini)
        alice = await one.connect("alice")
        await alice.emit("say", body={"to": "bob", "content": "salut"})
        await until(lambda: alice.of("hear"))
        await bob.join("dm:alice:bob")
        assert bob.messages == [1]
        assert [payload["body"]["content"] for payload in alice.of("hear")] == ["salut"]
