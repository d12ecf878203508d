"""The documents say what is there: settings, dependencies, commands, routes, links, the first chat."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from messaging.dialects import DIALECTS
from messaging.dialects.base import Dialect
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace
from messaging.dialects.pages import PAGES
from messaging.dialects.routes import ROUTES
from messaging.gateway.metrics import Metrics
from messaging.settings import Settings
from scripts.chaos_harness.promises import PROMISES
from tests.clients import NODE_SCRIPTS
from tests.conftest import Serve
from tests.dialects import examples
from tests.servers import ROOT

README = ROOT / "README.md"
PROTOCOLS = ROOT / "docs" / "protocols.md"
DESIGN = ROOT / "docs" / "design.md"
CHANGELOG = ROOT / "CHANGELOG.md"
ADD_A_DIALECT = ROOT / "docs" / "add-a-dialect.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
DOCUMENTS = (README, PROTOCOLS, DESIGN, CHANGELOG, ADD_A_DIALECT, RELIABILITY)

SETTINGS = [field for field in dataclasses.fields(Settings) if field.metadata]
ROWS = [
    pytest.param(dialect, row, id=f"{dialect.name} {row.name}")
    for dialect in DIALECTS.values()
    if isinstance(dialect, Namespace | Frames)
    for row in [*dialect.rows.values(), *dialect.vocabulary.besides]
]
FOREIGN = re.compile(
    r"shared/|contract\.md|\bissues? #?\d|/work/|/opt/|/tmp/|/home/|pypi\.|pythonhosted|npmjs|registry\.",
    re.IGNORECASE,
)


def rows(document: Path, first: str) -> Iterator[list[str]]:
    """The cells of the rows of the table whose first heading is `first`."""
    _, _, rest = document.read_text().partition(f"\n| {first} |")
    for line in rest.split("\n\n")[0].splitlines()[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def shown(default: object) -> str:
    """A setting's default as the README writes it."""
    if default is None or default in ((), frozenset()):
        return "none"
    match default:
        case bool():
            return f"`{str(default).lower()}`"
        case float():
            return f"`{default:g}`"
        case tuple() | frozenset():
            return f"`{','.join(sorted(default))}`"
        case _:
            return f"`{default}`"


def line_of(name: str, text: str | None = None) -> str:
    """The row of a table in docs/protocols.md, or in a part of it, that begins with `name`."""
    lines = (PROTOCOLS.read_text() if text is None else text).splitlines()
    return next((line for line in lines if line.startswith(f"| `{name}` |")), "")


def tables(dialect: Dialect) -> list[str]:
    """What docs/protocols.md says under a dialect's heading: its tables of commands and of events."""
    heading = type(dialect).__name__
    _, _, rest = PROTOCOLS.read_text().partition(f"\n# {heading}\n")
    own = rest.partition("\n# ")[0]
    return [
        "| command" + own.partition("\n| command")[2].partition("\n\n")[0],
        "| event" + own.partition("\n| event")[2].partition("\n\n")[0],
    ]


def headings(document: Path) -> set[str]:
    """The headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {match[1].strip() for match in re.finditer(r"^#+ (.+)$", text, re.MULTILINE)}


def anchor(heading: str) -> str:
    """What a link to a heading is called."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_has_every_setting_with_its_default_and_no_other() -> None:
    expected = {
        (field.metadata["names"] or (field.name.upper(),))[0]: shown(field.default) for field in SETTINGS
    }
    assert {cells[0].strip("`"): cells[1] for cells in rows(README, "variable")} == expected


def test_the_readme_has_every_other_name_of_a_setting_in_its_row() -> None:
    meanings = {cells[0].strip("`"): cells[2] for cells in rows(README, "variable")}
    for field in SETTINGS:
        names = field.metadata["names"] or (field.name.upper(),)
        assert all(f"`{name}`" in meanings[names[0]] for name in names[1:])


def test_the_readme_has_every_dependency_with_its_range_and_a_reason() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = [
        line
        for line in setup["options"]["install_requires"].splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    table = list(rows(README, "package"))
    assert [cells[0].strip("`") + cells[1].strip("`") for cells in table] == required
    assert all(cells[2] for cells in table)


@pytest.mark.parametrize(("dialect", "row"), ROWS)
def test_every_command_has_a_row_with_all_its_fields(dialect: Dialect, row: Any) -> None:
    commands, _ = tables(dialect)
    line = line_of(row.name, commands)
    assert line
    assert {str(field.data_key) for field in row.form.parts.values()} <= set(re.findall(r"\w+", line))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_event_has_a_row(dialect: Dialect) -> None:
    assert isinstance(dialect, Namespace | Frames)
    _, events = tables(dialect)
    names = {frame.name for event in examples.events() for frame in dialect.render(event)}
    names |= {told.name for told in dialect.vocabulary.events}
    assert [name for name in sorted(names) if not line_of(name, events)] == []


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_no_command_and_no_event_is_described_that_is_not_there(dialect: Dialect) -> None:
    assert isinstance(dialect, Namespace | Frames)
    commands, events = tables(dialect)
    asked = {*dialect.rows, *(asked.name for asked in dialect.vocabulary.besides)}
    assert set(re.findall(r"^\| `([^`]+)` \|", commands, re.MULTILINE)) == asked
    told = {told.name for told in dialect.vocabulary.events}
    assert set(re.findall(r"^\| `([^`]+)` \|", events, re.MULTILINE)) == told


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_has_a_row_with_all_its_fields(route: Any) -> None:
    schemas = [schema for schema in (route.query, route.body) if schema is not None]
    fields = {str(field.data_key) for schema in schemas for field in schema.parts.values()}
    line = line_of(f"{route.method} {route.path}")
    assert line
    assert fields <= set(re.findall(r"\w+", line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_has_a_row(page: Any) -> None:
    assert line_of(f"{page.method} {page.path}")


def counted() -> Metrics:
    """Metrics of which everything has happened once."""
    metrics = Metrics()
    for happened in (metrics.opened, metrics.returned, metrics.sent, metrics.suppressed, metrics.left_out):
        happened("x")
    for happened_so in (metrics.closed, metrics.refused, metrics.failed):
        happened_so("x", "y")
    metrics.webhook("x", "y")
    metrics.pushed("x")
    metrics.came_back("x", whole=True)
    metrics.finished("x", "x", 1.0)
    metrics.delivered("x", 1, message=True)
    metrics.stored("x", 1.0, False)
    metrics.heard_back(1.0)
    metrics.heard_back(None)
    metrics.lagged(1.0)
    metrics.gap_filled()
    return metrics


def test_every_metric_is_described_with_its_labels() -> None:
    told = {cells[0]: cells[1] for cells in rows(PROTOCOLS, "metric")}
    for family in counted().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        (described,) = [labels for names, labels in told.items() if f"`{name}`" in names]
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert set(filter(None, described.split(", "))) == labels, name


def test_no_route_is_described_that_is_not_there() -> None:
    there = [f"{route.method} {route.path}" for route in ROUTES] + [
        f"{page.method} {page.path}" for page in PAGES
    ]
    described = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PROTOCOLS.read_text(), re.MULTILINE)
    assert set(described) == set(there)


def test_every_promise_of_the_harness_is_described() -> None:
    assert [row[0] for row in rows(RELIABILITY, "name")] == list(PROMISES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = unquote(target).partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert not fragment or fragment in map(anchor, headings(there)), target


def test_every_file_that_the_design_names_is_there() -> None:
    folders = [
        ROOT,
        *(ROOT / name for name in ("messaging", "messaging/transports", "messaging/transports/socketio")),
    ]
    for name in re.findall(r"`([\w./-]+/[\w.-]*|[\w./-]+\.(?:py|md|cfg|toml))`", DESIGN.read_text()):
        assert any((folder / name).exists() for folder in folders), name


def test_every_test_that_the_design_names_is_there() -> None:
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"\btest_\w+\b(?!\.py)", DESIGN.read_text()))
    assert named <= tests


def test_what_the_code_refers_to_is_in_the_documents() -> None:
    """`(docs/protocols.md, Signing in)` in a docstring names a heading; an invariant goes by its number."""
    for path in (*(ROOT / "messaging").rglob("*.py"), *(ROOT / "tests").rglob("*.py")):
        for document, section in re.findall(r"\(docs/(\w+)\.md, ([\w ]+)\)", path.read_text()):
            there = ROOT / "docs" / f"{document}.md"
            if number := re.fullmatch(r"invariant (\d+)", section):
                assert re.search(rf"^{number[1]}\. ", there.read_text(), re.MULTILINE), f"{path}: {section}"
            else:
                assert section in headings(there), f"{path}: {section}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_stands_on_its_own(document: Path) -> None:
    assert not FOREIGN.search(document.read_text())


def test_the_first_chat_of_the_readme_works(serve: Serve, node: str) -> None:
    server = serve()
    tokens = dict(re.findall(r"(\w+)'s token: (\S+)", server.log))
    [snippet] = re.findall(r"```js\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(snippet.strip().splitlines()) == 10
    arguments = json.dumps([tokens["Alice"], "Hello, Bob"])
    script = snippet.replace("http://localhost:3000", server.url).replace("process.argv.slice(2)", arguments)
    end = 'socket.on("new-message", () => setImmediate(() => process.exit()));'
    run = subprocess.run(
        [node, "--eval", script + end], cwd=NODE_SCRIPTS, capture_output=True, text=True, timeout=30
    )
    assert run.stdout.splitlines() == ["You hear this conversation now.", "Alice: Hello, Bob"], run.stderr
