"""The AsyncAPI document is valid, and has every command and every event of all five protocols."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from messaging.dialects import DIALECTS, NAMESPACES, SOCKETS, asyncapi
from messaging.dialects.frames import Frames
from messaging.dialects.namespace import Namespace

DOCUMENT = asyncapi.document("1.2.3")
PLACES = {**NAMESPACES, **SOCKETS}
TABULAR = [dialect for dialect in DIALECTS.values() if isinstance(dialect, Namespace | Frames)]
dialects = pytest.mark.parametrize("dialect", TABULAR, ids=lambda dialect: dialect.name)
INFORMATION = 2
NEWER_VERSION = {"asyncapi-latest-version"}
"""AsyncAPI 3.1 is there; 3.0 is what tools read."""


def operations(dialect: Namespace | Frames, action: str) -> dict[str, dict[str, Any]]:
    """What the document has of a dialect's operations, by the name of the command or event."""
    found = {name: one for name, one in DOCUMENT["operations"].items() if one["action"] == action}
    return {one["title"]: one for name, one in found.items() if name.startswith(f"{dialect.name}.")}


def resolved(reference: dict[str, str]) -> Any:
    found: Any = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def names(references: list[dict[str, str]]) -> list[str]:
    return [resolved(reference)["name"] for reference in references]


def test_the_official_parser_has_nothing_to_say(asyncapi_parser: tuple[str, ...]) -> None:
    told = json.dumps(DOCUMENT)
    run = subprocess.run(asyncapi_parser, input=told, capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert [said for said in seen["diagnostics"] if said["code"] not in NEWER_VERSION] == []
    assert all(said["severity"] >= INFORMATION for said in seen["diagnostics"])
    assert {operation["id"] for operation in seen["operations"]} == set(DOCUMENT["operations"])
    assert {operation["channel"] for operation in seen["operations"]} == set(PLACES)
    [joining] = [one for one in seen["operations"] if one["id"] == "ws-chat.receive.join_room"]
    assert joining["replies"] == ["join_room_ack", "room_message", "error"]


def test_the_document_is_json_and_always_the_same() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT == asyncapi.document("1.2.3")
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_there_is_one_channel_for_each_protocol() -> None:
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert addresses == {dialect.name: path for path, dialect in PLACES.items()}


@dialects
def test_every_command_is_received_and_every_event_is_sent(dialect: Namespace | Frames) -> None:
    besides = {asked.name for asked in dialect.vocabulary.besides}
    assert operations(dialect, "receive").keys() == dialect.rows.keys() | besides
    assert operations(dialect, "send").keys() == {told.name for told in dialect.vocabulary.events}


@dialects
def test_every_command_has_its_replies(dialect: Namespace | Frames) -> None:
    for name, operation in operations(dialect, "receive").items():
        replies = names(operation["reply"]["messages"])
        if isinstance(dialect, Namespace):
            assert replies == [f"{name} ack", "refused"]
        else:
            answers = dialect.rows[name].answers if name in dialect.rows else ()
            assert replies == [*answers, "error"]


@dialects
def test_every_example_fits_its_schema(dialect: Namespace | Frames) -> None:
    for message in DOCUMENT["channels"][dialect.name]["messages"].values():
        whole = message["payload"] | {"components": DOCUMENT["components"]}
        [example] = message["examples"]
        OAS31Validator(whole).validate(example["payload"])


@dialects
def test_one_name_means_one_schema(dialect: Namespace | Frames) -> None:
    for name, schema in dialect.vocabulary.schemas.items():
        assert DOCUMENT["components"]["schemas"][name] == schema


def test_a_connection_may_say_in_its_url_what_the_server_reads() -> None:
    asked = {
        name: set(channel["bindings"]["ws"]["query"]["properties"])
        for name, channel in DOCUMENT["channels"].items()
    }
    assert asked == {
        "messaging": {"token", "EIO", "transport"},
        "chat": {"token", "EIO", "transport"},
        "ws-chat": {"token", "batch"},
        "unified": {"token", "client_id", "after"},
        "rooms": {"token"},
    }
