"""A real push service on this machine, over HTTPS, and browsers that decrypt what it was given for them."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import http_ece
import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from messaging.domain.pushing import Subscription
from messaging.outgoing.client import Outgoing
from messaging.push.keys import decoded, encoded
from tests.servers import free_port

NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
AUTH = b"0123456789abcdef"


@dataclass
class Browser:
    """One browser of a user: its keys, and all that was pushed to it, decrypted."""

    user_id: str
    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    heard: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def keys(self) -> dict[str, str]:
        """What it gives a page, to be passed on."""
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return {"p256dh": encoded(point), "auth": encoded(AUTH)}

    @property
    def subscription(self) -> Subscription:
        """The same, as the server keeps it."""
        return Subscription(user_id=self.user_id, endpoint=self.endpoint, created_at=NOW, **self.keys)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Decrypt what was pushed."""
        plain = http_ece.decrypt(body, private_key=self.key, auth_secret=AUTH, version="aes128gcm")
        self.heard.append(json.loads(plain))
        self.headers.append(headers)


@dataclass
class PushService:
    """Gives each browser an address, and takes what is pushed there. `answers` come before the usual 201."""

    port: int
    trust: ssl.SSLContext
    browsers: dict[str, Browser] = field(default_factory=dict)
    answers: deque[web.Response] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: nothing to `slow` addresses is answered."""

    def browser(self, user_id: str, name: str = "send") -> Browser:
        """A new browser of this user."""
        number = len(self.browsers) + 1
        endpoint = f"https://127.0.0.1:{self.port}/{name}/{number}"
        made = self.browsers[f"/{name}/{number}"] = Browser(user_id, endpoint)
        return made

    def way(self) -> Outgoing:
        """A way that leads here, which the usual one does not."""
        return Outgoing(allow_private=True, trust=self.trust, timeout_seconds=5)

    async def serve(self, request: web.Request) -> web.Response:
        """As a push service does (RFC 8030)."""
        self.asked.append(request.path)
        if request.path.startswith("/slow/"):
            await self.gate.wait()
        if self.answers:
            return self.answers.popleft()
        browser = self.browsers.get(request.path)
        if browser is None:
            return web.Response(status=404)
        browser.take(await request.read(), dict(request.headers))
        return web.Response(status=201)


@asynccontextmanager
async def push_service(folder: Path) -> AsyncIterator[PushService]:
    """A push service with a certificate of its own, which only who is told to trusts."""
    certificate = _certificate(folder)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    service = PushService(free_port(), ssl.create_default_context(cafile=str(certificate)))
    service.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", service.port, ssl_context=own).start()
    try:
        yield service
    finally:
        service.gate.set()
        await runner.cleanup()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "push")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "push.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def who(headers: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The claims and the public key of a VAPID header; raises unless they belong together (RFC 8292)."""
    scheme, _, rest = headers["Authorization"].partition(" ")
    assert scheme == "vapid"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(parts["k"]))
    claims = jwt.decode(parts["t"], key, ["ES256"], options={"verify_aud": False})
    return claims, parts["k"]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return when the condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  conditions of many kinds, none with an event
            await asyncio.sleep(0.005)
