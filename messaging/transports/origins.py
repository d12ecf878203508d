"""Which web pages may talk to us (docs/protocols.md, Origins). Pure; REST and sockets share it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True)
class Origins:
    """The rule: the same origin, no Origin at all, and those that the settings name.

    Development also allows `null` (pages opened from disk) and any port of this machine.
    """

    allowed: tuple[str, ...] = ()
    development: bool = False

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with this Origin header, sent to this Host, may come in."""
        return "*" in self.allowed or self.trusts(origin, host)

    def trusts(self, origin: str | None, host: str | None) -> bool:
        """Whether it may also bring cookies: allowed by more than a `*`."""
        if origin is None:
            return True
        if origin.rstrip("/").lower() in self._named:
            return True
        page = _split(origin)
        return _same(page, host) or (self.development and (origin == "null" or _local(page)))

    def headers(self, origin: str | None, host: str | None, *, preflight: bool = False) -> dict[str, str]:
        """The CORS headers of an answer to that request; none of them for a foreign page."""
        headers = {"Vary": "Origin"}
        if origin is None or not self.allows(origin, host):
            return headers
        headers["Access-Control-Expose-Headers"] = "Retry-After"
        if self.trusts(origin, host):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
        else:
            headers["Access-Control-Allow-Origin"] = "*"
        return {**headers, **_PREFLIGHT} if preflight else headers

    @property
    def _named(self) -> set[str]:
        return {name.rstrip("/").lower() for name in self.allowed if name != "*"}


def _split(origin: str) -> SplitResult | None:
    try:
        page = urlsplit(origin)
        _ = page.port  # raises for what is no number
        return page if page.hostname else None
    except ValueError:
        return None


def _same(page: SplitResult | None, host: str | None) -> bool:
    """Host and port are equal. The scheme is ignored, for proxies that end TLS."""
    server = _split(f"//{host}") if host else None
    if page is None or server is None or page.scheme not in _DEFAULT_PORTS:
        return False
    default = _DEFAULT_PORTS[page.scheme]
    return page.hostname == server.hostname and (page.port or default) == (server.port or default)


def _local(page: SplitResult | None) -> bool:
    return page is not None and page.scheme in ("http", "https") and page.hostname in _LOCAL
