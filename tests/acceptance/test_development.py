"""Development mode: no settings, two users with ready tokens, this machine only, a kept secret."""

from __future__ import annotations

import re
import socket
from asyncio import to_thread
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.stage import SECRET, Stage, heard, join, say
from tests.clients import NodeClients
from tests.conftest import Serve
from tests.servers import ServerFailed, ServerProcess


def tokens(server: ServerProcess) -> dict[str, str]:
    """The tokens of the newest banner, by user."""
    return {
        name.lower(): token for name, token in re.findall(r"^(\w+)'s token: (\S+)$", server.log, re.MULTILINE)
    }


@pytest.fixture
def stage(serve: Serve, clients: NodeClients, http: aiohttp.ClientSession) -> Stage:
    """A service without any settings."""
    return Stage(servers=(serve(),), clients=clients, http=http)


async def test_the_banners_tokens_chat_in_the_demo_group(stage: Stage) -> None:
    server = stage.servers[0]
    ready = tokens(server)
    assert ready.keys() == {"alice", "bob"}
    alice, bob = [await stage.messaging("-", auth={"token": ready[name]}) for name in ("alice", "bob")]
    for client in (alice, bob):
        await join(client, "general")
        await join(client, "1")
    sent = await say(alice, "1", "Hello, Bob!")
    assert sent["sender"].items() >= {"id": "alice", "name": "Alice", "username": "alice"}.items()
    await heard(bob, "Hello, Bob!")


async def test_a_token_is_still_good_after_a_restart_and_the_messages_are_there(stage: Stage) -> None:
    server = stage.servers[0]
    first = tokens(server)["alice"]
    alice = await stage.messaging("-", auth={"token": first})
    sent = await say(alice, "1", "remember me")
    await to_thread(server.restart)
    again = await stage.messaging("-", auth={"token": first})
    await join(again, "1")
    history = (await again.wait_for("conversation-history")).data["messages"]
    assert [message["id"] for message in history] == [sent["id"]]


async def test_only_this_machine_is_served(stage: Stage) -> None:
    server = stage.servers[0]
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", server.port), 2):
        pass


async def test_the_secret_is_for_its_owner_alone(stage: Stage) -> None:
    secret = stage.servers[0].folder / "data" / "development-secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() not in stage.servers[0].log


@pytest.mark.parametrize("origin", ["null", "http://localhost:5173", "http://127.0.0.1:8080"])
async def test_pages_from_disk_and_of_this_machine_may_connect(stage: Stage, origin: str) -> None:
    token = tokens(stage.servers[0])["alice"]
    client = await stage.messaging("-", auth={"token": token}, extraHeaders={"Origin": origin})
    await join(client, "1")


async def test_metrics_are_open(stage: Stage) -> None:
    assert (await stage.rest("GET", "/metrics", user=None)).status == 200


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"HOST": "0.0.0.0"}, "HOST"),
        ({"JWT_SECRET": "too short"}, "JWT_SECRET"),
        ({"MONGODB_URI": "mongodb://127.0.0.1:1"}, "JWT_SECRET"),
        ({"JWT_SECRET": SECRET, "DYNO": "web.1"}, "MONGODB_URI"),
        ({"JWT_SECRET": SECRET, "PORT": "http"}, "PORT"),
    ],
)
def test_what_is_unsafe_or_wrong_stops_the_start_in_plain_lines(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    server = ServerProcess(tmp_path, environment)
    with pytest.raises(ServerFailed):
        server.start()
    assert told in server.log
    assert "Traceback" not in server.log
