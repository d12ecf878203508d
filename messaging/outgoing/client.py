"""The one way out: HTTP requests within bounds, to public addresses unless more is allowed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from messaging.outgoing.addresses import is_address, is_public

TIMEOUT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MAX_CONNECTIONS = 32
MAX_ANSWER_BYTES = 4_096
"""How much of an answer is looked at, where nothing else is asked for."""


class OutgoingRefused(Exception):
    """This target may not be asked; the text says why, without the target's path."""


class OutgoingFailed(Exception):
    """The target could not be asked, or did not answer; the text says why, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. A body that was longer than allowed is None."""

    status: int
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


def check_target(url: str, *, allow_private: bool) -> URL:
    """The URL, if requests may go there as far as it can be seen from it; OutgoingRefused says why not."""
    try:
        target = URL(url)
    except ValueError:
        raise OutgoingRefused("is not a URL") from None
    if target.scheme not in ("https", "http") or not target.host:
        raise OutgoingRefused("must be an https URL")
    if allow_private:
        return target
    if target.scheme != "https":
        raise OutgoingRefused("must begin with https://")
    if is_address(target.host) and not is_public(target.host):
        raise OutgoingRefused("is inside a private network")
    return target


class Outgoing:
    """A client for requests to others. Must be closed. With `allow_private`, plain http and addresses of
    private networks are allowed, too. `trust` replaces the system's certificates."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, max_bytes: int, headers: Mapping[str, str] | None = None) -> Answer:
        """What is at a URL. Raises OutgoingRefused or OutgoingFailed."""
        return await self._ask("GET", url, None, headers or {}, max_bytes)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; the answer's first bytes. Raises OutgoingRefused or OutgoingFailed."""
        return await self._ask("POST", url, body, headers, MAX_ANSWER_BYTES)

    async def close(self) -> None:
        """Let go of all connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], max_bytes: int
    ) -> Answer:
        target = check_target(url, allow_private=self.allow_private)
        try:
            async with self._opened().request(
                method, target, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(
                    status=response.status,
                    body=await _bounded(response, max_bytes),
                    headers=dict(response.headers),
                )
        except _PrivateAddress:
            raise OutgoingRefused("is inside a private network") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _PrivateAddress):
                raise OutgoingRefused("is inside a private network") from None
            raise OutgoingFailed(f"cannot be reached ({type(error).__name__})") from error
        except TimeoutError:
            raise OutgoingFailed("did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise OutgoingFailed(f"did not answer ({type(error).__name__})") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            more: dict[str, Any] = {} if self._trust is None else {"ssl": self._trust}
            connector = aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, resolver=None if self.allow_private else _PublicResolver(), **more
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


async def _bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """The body; None for one that is too long, whose rest is not read."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            response.close()
            return None
    return bytes(body)


class _PrivateAddress(OSError):
    """A name leads into a private network only."""


class _PublicResolver(AbstractResolver):
    """Names as the system knows them, without addresses that are not public. What is connected to is what was
    looked at here, so a name cannot lead elsewhere a moment later."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As AbstractResolver.resolve."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        public = [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=each, proto=proto, flags=0
            )
            for each, _, proto, _, address in found
            if is_public(str(address[0]))
        ]
        if not public:
            raise _PrivateAddress("no public address")
        return public

    async def close(self) -> None:
        """As AbstractResolver.close."""
