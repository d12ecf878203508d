"""Signing in over sockets: every place for a token, what is refused and how, and a token that ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import jwt
import pytest

from tests.acceptance.conftest import Service
from tests.acceptance.stage import (
    FREELY,
    SECRET,
    TRANSPORTS,
    Json,
    Stage,
    call,
    contents,
    heard,
    join,
    new_id,
    refused,
    token,
)
from tests.clients import NodeClient, NodeClients
from tests.conftest import Serve
from tests.http import http_client
from tests.servers import ServerProcess

ORIGIN = "https://app.example.com"
BOTH_TRANSPORTS = pytest.mark.parametrize("transports", TRANSPORTS[:2], ids="+".join)


@pytest.fixture(scope="module")
def servers(service: Service) -> tuple[ServerProcess, ...]:
    """One process that trusts one foreign origin."""
    return service({"CORS_ORIGINS": ORIGIN})


async def is_somebody(client: NodeClient) -> bool:
    """Whether commands are carried out."""
    return bool((await join(client, "general"))["success"])


def ways(good: str) -> dict[str, Json]:
    """Options of socket.io-client, by where they put the token."""
    return {
        "auth": {"auth": {"token": good}},
        "auth with Bearer": {"auth": {"token": f"Bearer {good}"}},
        "query": {"auth": {}, "query": {"token": good}},
        "header": {"auth": {}, "extraHeaders": {"Authorization": f"Bearer {good}"}},
        "cookie": {"auth": {}, "extraHeaders": {"Cookie": f"access_token={good}", "Origin": ORIGIN}},
        "cookie of the same origin": {"auth": {}, "extraHeaders": {"Cookie": f"access_token={good}"}},
        "empty ones before": {
            "auth": {"token": ""},
            "query": {"token": ""},
            "extraHeaders": {"Authorization": f"Bearer {good}"},
        },
    }


@BOTH_TRANSPORTS
@pytest.mark.parametrize("way", ways(""))
@pytest.mark.parametrize("namespace", ["/messaging", "/chat"])
async def test_a_token_is_taken_from_every_place(
    stage: Stage, namespace: str, way: str, transports: tuple[str, ...]
) -> None:
    name = new_id()
    client = await stage.connect(namespace, name, transports=transports, **ways(token(name))[way])
    command = "join-conversation" if namespace == "/messaging" else "conversation:join"
    await call(client, command, conversationId="general")


@pytest.mark.parametrize("claim", ["userId", "user_id", "id"])
async def test_the_user_id_may_be_in_other_claims_and_a_number(stage: Stage, claim: str) -> None:
    number = int(new_id())
    other = jwt.encode({claim: number, "exp": time.time() + 60}, SECRET, "HS256")
    client = await stage.messaging("-", auth={"token": other})
    sent = await call(client, "send-message", conversationId="general", content="x")
    assert sent["message"]["senderId"] == str(number)


REFUSED: dict[str, Json] = {
    "none": {"auth": {}},
    "nonsense": {"auth": {"token": "nonsense"}},
    "a number": {"auth": {"token": 7}},
    "expired": {"auth": {"token": token("1", seconds=-60)}},
    "of another secret": {"auth": {"token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"}},
    "bad before a good one": {"auth": {"token": "bad"}, "query": {"token": token("1")}},
}


@BOTH_TRANSPORTS
@pytest.mark.parametrize("bad", REFUSED)
@pytest.mark.parametrize("namespace", ["/messaging", "/chat"])
async def test_a_bad_token_is_refused_with_the_reason(
    stage: Stage, namespace: str, bad: str, transports: tuple[str, ...]
) -> None:
    client = await stage.connect(namespace, "1", wait=False, transports=transports, **REFUSED[bad])
    error = await client.wait_for("connect_error")
    assert error.fields["data"]["code"] == "AUTH_FAILED"
    assert error.fields["message"]


async def test_a_foreign_origin_is_refused(stage: Stage) -> None:
    client = await stage.messaging(
        new_id(), wait=False, extraHeaders={"Origin": "https://evil.example"}, reconnection=False
    )
    error = await client.wait_for("connect_error")
    assert error.fields["message"] == "websocket error"


# --- a token that ends -------------------------------------------------------------------------------


async def expiring(stage: Stage, **options: Json) -> tuple[NodeClient, str, str]:
    """A client whose token ends in one second (10 s of leeway are over), its name, and its group."""
    name = new_id()
    group = await stage.group(name, "writer")
    client = await stage.messaging(name, auth={"token": token(name, seconds=-8)}, **options)
    await join(client, group)
    return client, name, group


@BOTH_TRANSPORTS
async def test_with_a_new_token_an_expired_connection_goes_on_and_has_missed_nothing(
    stage: Stage, transports: tuple[str, ...]
) -> None:
    client, name, group = await expiring(stage, transports=transports)
    await stage.post("writer", group, "before")
    await heard(client, "before")
    error = await client.wait_for("error", where=lambda seen: seen.kind == "event")
    assert error.data["code"] == "AUTH_FAILED"
    await stage.post("writer", group, "meanwhile")
    answer = await refused(client, "send-message", conversationId=group, content="x")
    assert answer["code"] == "AUTH_FAILED"
    assert contents(client) == ["before"]
    answer = await refused(client, "authenticate", token=token(new_id()))
    assert answer["code"] == "AUTH_FAILED"
    assert (await call(client, "authenticate", token=token(name)))["expiresAt"].endswith("Z")
    await heard(client, "meanwhile")
    await stage.post("writer", group, "after")
    await heard(client, "after")
    assert contents(client) == ["before", "meanwhile", "after"]
    assert not [seen for seen in client.seen if seen.kind == "disconnect"]


async def test_a_token_may_be_renewed_before_it_ends(stage: Stage) -> None:
    client, name, _ = await expiring(stage)
    await call(client, "authenticate", token=token(name))
    late, *_ = await expiring(stage)
    await late.wait_for("error", where=lambda seen: seen.kind == "event")  # so ours would have ended, too
    assert await is_somebody(client)
    assert not client.events("error")


# --- too many ----------------------------------------------------------------------------------------


@pytest.fixture
async def strict(serve: Serve, clients: NodeClients) -> AsyncIterator[Stage]:
    """A service that takes three bad tokens a minute from an address, and three connections of a user."""
    environment = {**FREELY, "RATE_LIMIT_AUTH_FAILURES": "3/minute", "MAX_CONNECTIONS_PER_USER": "3"}
    async with http_client() as http:
        yield Stage(servers=(serve(environment),), clients=clients, http=http)


async def fail(stage: Stage, times: int) -> None:
    for _ in range(times):
        client = await stage.messaging("1", auth={"token": "bad"}, wait=False)
        await client.wait_for("connect_error")
        await client.close()


async def test_too_many_bad_tokens_are_refused_before_the_upgrade_but_good_ones_come_in(
    strict: Stage,
) -> None:
    await fail(strict, 4)
    for transport in ("polling", "websocket"):
        url = f"{strict.servers[0].url}/socket.io/?EIO=4&transport={transport}&token=bad"
        headers = {"Connection": "Upgrade", "Upgrade": "websocket"} if transport == "websocket" else {}
        async with strict.http.get(url, headers=headers) as response:
            assert response.status == 429
            assert int(response.headers["Retry-After"]) >= 1
    for namespace in ("/messaging", "/chat"):
        await strict.connect(namespace, "1", query={"token": token("1")}, auth={})
        await strict.connect(namespace, "2")
    answer = await strict.rest("GET", "/api/conversations", user="1")
    assert answer.status == 200


async def test_too_many_bad_tokens_by_rest_are_429_but_good_ones_come_in(strict: Stage) -> None:
    headers = {"Authorization": "Bearer bad"}
    answers = [await strict.rest("GET", "/api/conversations", user=None, headers=headers) for _ in range(4)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await strict.rest("GET", "/api/conversations", user="1")).status == 200


async def test_one_connection_too_many_comes_in_by_itself_when_there_is_room(strict: Stage) -> None:
    first, *_ = [await strict.messaging("1") for _ in range(3)]
    fourth = await strict.messaging("1", wait=False)
    assert (await fourth.wait_for("disconnect")).fields["reason"] == "transport close"
    await strict.messaging("2")
    await fourth.wait_for("reconnect_attempt")
    assert not [seen for seen in fourth.seen if seen.kind == "connect"]
    await first.close()
    await fourth.wait_for("connect")


async def test_logs_hold_no_token_and_no_content(stage: Stage) -> None:
    name = new_id()
    secret = token(name)
    client = await stage.messaging(name, auth={}, query={"token": secret})
    await call(client, "send-message", conversationId="general", content="the canary sings")
    await client.close()
    log = stage.servers[0].log
    assert f"WS_CONNECT: UserID={name}, IP=127.0.0.1, Dialect=messaging" in log
    assert secret.rpartition(".")[2] not in log
    assert "canary" not in log
