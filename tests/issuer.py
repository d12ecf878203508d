"""An identity provider: a real https server with a JWKS document, and tokens that its keys sign."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.certificates import Authority

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_ALGORITHMS: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def private_key(algorithm: str) -> PrivateKey:
    """A new key for an algorithm."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def public_jwk(algorithm: str, key: Any, **more: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    return {**json.loads(_ALGORITHMS[algorithm].to_jwk(key.public_key())), **more}


def signed(key: Any, algorithm: str, kid: str | None, user: str = "alice", **claims: Any) -> str:
    """A token."""
    payload = {"sub": user, "iat": int(time.time()), "exp": int(time.time()) + 600, **claims}
    return jwt.encode(payload, key, algorithm, headers={} if kid is None else {"kid": kid})


@dataclass
class Issuer:
    """`keys` is what the document holds; `status` and `body` are for when it does not."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    location: str = ""
    fetched: int = 0

    async def serve(self, _request: web.Request) -> web.Response:
        """The document."""
        self.fetched += 1
        data = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=self.status, body=data, content_type="application/json", headers=headers)


@asynccontextmanager
async def issuing(authority: Authority) -> AsyncIterator[Issuer]:
    """An issuer on a port of its own, over TLS."""
    issuer = Issuer()
    app = web.Application()
    app.add_routes([web.get("/keys", issuer.serve)])
    server = TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=authority.server)
    try:
        issuer.url = f"https://localhost:{server.port}/keys"
        yield issuer
    finally:
        await server.close()
