"""The house keeps its shape: who may import whom, and what is not done on which floor (docs/design.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.servers import ROOT

# A module imports from its own part and from the parts below it only; parts of one floor do not know each
# other. Floor 6 is one part: it is where everything meets. messaging/__init__.py has no floor: it holds the
# version.
FLOORS = {
    "domain": 1,
    "service": 2,
    "outgoing": 3,
    "tokens": 3,
    "files": 3,
    "stores": 3,
    "backplanes": 3,
    "dialects": 3,
    "chores": 3,
    "gateway": 4,
    "jwks": 4,
    "webhooks": 4,
    "push": 4,
    "transports": 5,
    "app": 6,
    "garbage": 6,
    "settings": 6,
    "allowed": 6,
    "serving": 6,
    "logs": 6,
    "telemetry": 6,
    "supervisor": 6,
    "supervisor_watch": 6,
    "doctor": 6,
    "cli": 6,
    "__main__": 6,
}
TOP = 6
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
HOST_LIBRARY = {"socketio", "engineio"}
PURE = {"domain", "dialects"}
ASYNC = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def violations(file: str, source: str) -> list[str]:
    """What the module `file` (a path such as messaging/domain/ids.py) does that its place forbids."""
    path = PurePosixPath(file)
    tree = ast.parse(source, file)
    part = path.with_suffix("").parts[1]
    imports = list(imported(path, tree))
    return [
        *floor_violations(part, imports),
        *library_violations(path, part, imports),
        *environment_violations(part, tree),
        *async_violations(part, tree),
    ]


def imported(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """The dotted names that a module imports, relative ones resolved."""
    package = path.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*origin, *filter(None, [node.module])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def floor_violations(part: str, imports: list[str]) -> Iterator[str]:
    if part not in FLOORS and part != "__init__":
        yield f"{part} has no floor: give it one in FLOORS"
        return
    floor = FLOORS.get(part, 0)
    for name in imports:
        package, _, inside = name.partition(".")
        if package != "messaging" or inside in ("", "__version__"):
            continue
        other = inside.partition(".")[0]
        below = FLOORS.get(other, TOP) < floor
        both_on_top = floor == FLOORS.get(other) == TOP
        if not (below or other == part or both_on_top):
            yield f"{part} imports {name}"


def library_violations(path: PurePosixPath, part: str, imports: list[str]) -> Iterator[str]:
    inside = path.parts[:3] == ("messaging", "transports", "socketio")
    for name in imports:
        library = name.partition(".")[0]
        if library in HOST_LIBRARY and not inside:
            yield f"{name} is imported outside transports/socketio"
        makes_values = path == PurePosixPath("messaging/domain/values.py") and library == "msgspec"
        if part == "domain" and library not in sys.stdlib_module_names | {"messaging"} and not makes_values:
            yield f"domain imports {name}, which is not in the standard library"


def environment_violations(part: str, tree: ast.Module) -> Iterator[str]:
    if part == "settings":
        return
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in ENVIRONMENT:
                yield f"line {node.lineno}: os.{name} is read outside settings.py"
            case ast.ImportFrom(module="os", names=names) if ENVIRONMENT & {alias.name for alias in names}:
                yield f"line {node.lineno}: the environment is imported outside settings.py"


def async_violations(part: str, tree: ast.Module) -> Iterator[str]:
    if part not in PURE:
        return
    for node in ast.walk(tree):
        if isinstance(node, ASYNC):
            yield f"line {node.lineno}: {part} is pure and waits for nothing"
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield f"line {node.target.lineno}: {part} is pure and waits for nothing"


def test_every_module_stands_on_its_floor() -> None:
    files = sorted((ROOT / "messaging").rglob("*.py"))
    assert files
    found = {str(file): violations(file.relative_to(ROOT).as_posix(), file.read_text()) for file in files}
    assert {file: wrong for file, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("messaging/__init__.py", "import sys"),
        (
            "messaging/domain/events.py",
            "import enum\nfrom . import ids\nfrom messaging.domain.models import User",
        ),
        (
            "messaging/service/send.py",
            "from messaging.domain.ids import MessageId\nasync def send(): await f()",
        ),
        ("messaging/domain/values.py", "import msgspec"),
        ("messaging/stores/mongodb.py", "import pymongo\nfrom ..service.ports import Store"),
        ("messaging/gateway/hub.py", "from messaging.dialects import DIALECTS"),
        ("messaging/transports/rest.py", "from messaging import __version__\nfrom .websocket import x"),
        ("messaging/transports/socketio/server.py", "import socketio\nfrom engineio.payload import Payload"),
        ("messaging/app.py", "from messaging.settings import Settings\nimport messaging.transports.rest"),
        ("messaging/cli.py", "from messaging.app import create_app"),
        ("messaging/settings.py", "import os\nos.environ['PORT']"),
    ],
)
def test_what_the_design_allows_passes(file: str, source: str) -> None:
    assert violations(file, source) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        # floors
        ("messaging/__init__.py", "from messaging.app import create_app"),
        ("messaging/domain/events.py", "from messaging.service import ports"),
        ("messaging/domain/events.py", "from ..service import ports"),
        ("messaging/domain/events.py", "from .. import service"),
        ("messaging/domain/events.py", "from messaging import service"),
        ("messaging/service/send.py", "def f():\n    import messaging.stores.sqlite"),
        ("messaging/service/send.py", "from messaging.settings import Settings"),
        ("messaging/stores/mongodb.py", "from messaging.backplanes import memory"),
        ("messaging/stores/mongodb.py", "import messaging.tokens"),
        ("messaging/tokens.py", "from messaging.dialects import base"),
        ("messaging/tokens.py", "from . import settings"),
        ("messaging/dialects/chat.py", "from messaging.gateway.session import Session"),
        ("messaging/gateway/hub.py", "from messaging.transports import websocket"),
        ("messaging/transports/socketio/server.py", "from ...app import create_app"),
        ("messaging/utils.py", ""),
        ("messaging/gateway/hub.py", "import messaging.utils"),
        # libraries
        ("messaging/domain/ids.py", "import orjson"),
        ("messaging/domain/models.py", "import msgspec"),
        ("messaging/domain/ids.py", "from marshmallow.fields import Field"),
        ("messaging/transports/websocket.py", "import socketio"),
        ("messaging/backplanes/redis.py", "from engineio import json"),
        # environment
        ("messaging/app.py", "import os\nport = os.environ['PORT']"),
        ("messaging/cli.py", "import os\nos.getenv('PORT')"),
        ("messaging/stores/__init__.py", "from os import environ as e"),
        # waiting
        ("messaging/domain/commands.py", "async def f(): pass"),
        ("messaging/dialects/chat.py", "def f():\n    async def g():\n        await h()"),
        ("messaging/dialects/chat.py", "async def f():\n    return [x async for x in y]"),
    ],
)
def test_what_the_design_forbids_is_found(file: str, source: str) -> None:
    assert violations(file, source) != []
