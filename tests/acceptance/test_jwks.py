"""A service in production whose tokens are signed by an identity provider, known by its JWKS URL alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.stage import Stage, eventually, join
from tests.certificates import authority
from tests.conftest import Serve
from tests.issuer import Issuer, issuing, private_key, public_jwk, signed
from tests.servers import ServerProcess

KEY = private_key("RS256")


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    async with issuing(authority(tmp_path)) as there:
        there.keys = [public_jwk("RS256", KEY, kid="one")]
        yield there


def start(serve: Serve, issuer: Issuer, tmp_path: Path) -> ServerProcess:
    """The real server, which trusts the tests' authority as it would the system's."""
    trust = {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}
    return serve({"JWT_JWKS_URL": issuer.url, "SERVICE_ROLES": "backend", **trust})


async def test_users_and_services_sign_in_with_its_tokens_alone(
    stage: Stage, serve: Serve, issuer: Issuer, tmp_path: Path
) -> None:
    server = start(serve, issuer, tmp_path)
    here = Stage(servers=(server,), clients=stage.clients, http=stage.http)
    client = await here.messaging("alice", auth={"token": signed(KEY, "RS256", "one")})
    await join(client, "general")
    backend = {"Authorization": f"Bearer {signed(KEY, 'RS256', 'one', 'host', role='backend')}"}
    made = await here.rest("PUT", "/api/users/42", {"name": "Claire"}, user=None, headers=backend)
    assert made.status == 201
    stranger = {"Authorization": f"Bearer {signed(private_key('RS256'), 'RS256', 'one')}"}
    assert (await here.rest("GET", "/api/conversations", user=None, headers=stranger)).status == 401
    assert (await here.rest("GET", "/api/conversations", user="alice")).status == 401, "a secret of no use"


async def test_while_the_keys_cannot_be_had_clients_are_told_to_come_back(
    stage: Stage, serve: Serve, issuer: Issuer, tmp_path: Path
) -> None:
    issuer.status = 503
    server = start(serve, issuer, tmp_path)
    here = Stage(servers=(server,), clients=stage.clients, http=stage.http)
    good = {"Authorization": f"Bearer {signed(KEY, 'RS256', 'one')}"}
    refused = await here.rest("GET", "/api/conversations", user=None, headers=good)
    assert (refused.status, refused.code) == (503, "UNAVAILABLE")
    client = await here.messaging("alice", wait=False, auth={"token": signed(KEY, "RS256", "one")})
    issuer.status = 200

    async def served() -> bool:
        answer = await here.rest("GET", "/api/conversations", user=None, headers=good)
        return answer.status == 200

    await eventually(served, seconds=30)
    await client.wait_for("connect", timeout=30)
