"""Who comes from where, with which token, and from which page: the pure rules."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.transports.credentials import UNUSABLE, Subprotocol, deciding_token, subprotocol
from messaging.transports.origins import Origins
from messaging.transports.peer import peer_address

JWT = "aaa.bbb.ccc"
ALL: dict[str, Any] = {
    "auth": {"token": "auth"},
    "query": {"token": "query"},
    "headers": {"Authorization": "Bearer header", "Sec-WebSocket-Protocol": f"bearer, {JWT}"},
    "cookies": {"access_token": "cookie"},
    "trust_cookie": True,
}


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        ({}, "auth"),
        ({"auth": {"token": "Bearer auth"}}, "auth"),
        ({"auth": {"token": 12}}, UNUSABLE),
        ({"auth": {"token": ["x"]}}, UNUSABLE),
        ({"auth": {"token": ""}}, "query"),
        ({"auth": {"token": None}}, "query"),
        ({"auth": None}, "query"),
        ({"auth": None, "query": {"token": ""}}, "header"),
        ({"auth": None, "query": {}, "headers": {"Authorization": "bearer  header "}}, "header"),
        ({"auth": None, "query": {}, "headers": {"Authorization": "Basic abc"}}, "cookie"),
        ({"auth": None, "query": {}, "headers": {"Sec-WebSocket-Protocol": f"bearer, {JWT}"}}, JWT),
        ({"auth": None, "query": {}, "headers": {}}, "cookie"),
        ({"auth": None, "query": {}, "headers": {}, "trust_cookie": False}, None),
        ({"auth": None, "query": {}, "headers": {}, "cookies": {}}, None),
    ],
)
def test_the_first_token_that_is_not_empty_decides(changes: dict[str, Any], token: str | None) -> None:
    assert deciding_token(**{**ALL, **changes}) == token


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (f"bearer, {JWT}", Subprotocol(JWT, "bearer")),
        (JWT, Subprotocol(JWT, JWT)),
        ("permessage-deflate", Subprotocol(None, "permessage-deflate")),
        (f"permessage-deflate, {JWT}", Subprotocol(JWT, "permessage-deflate")),
        ("chat", Subprotocol()),
        ("", Subprotocol()),
    ],
)
def test_a_subprotocol_may_carry_the_token(header: str, read: Subprotocol) -> None:
    assert subprotocol(header) == read


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "chat.example", True),
        ("https://chat.example", "chat.example", True),
        ("http://chat.example", "chat.example", True),
        ("https://CHAT.example", "chat.example", True),
        ("https://chat.example:8443", "chat.example:8443", True),
        ("https://chat.example:8443", "chat.example", False),
        ("https://chat.example", "chat.example:8000", False),
        ("https://[::1]:8000", "[::1]:8000", True),
        ("https://evil.example", "chat.example", False),
        ("https://chat.example.evil.example", "chat.example", False),
        ("https://chat.example@evil.example", "chat.example", False),
        ("null", "chat.example", False),
        ("", "chat.example", False),
        ("https://chat.example:port", "chat.example", False),
        ("ftp://chat.example", "chat.example", False),
        ("https://app.example", "chat.example", True),
        ("app://desktop", "chat.example", True),
        ("app://other", "chat.example", False),
        ("http://localhost:3000", "chat.example", False),
    ],
)
def test_pages_of_the_same_origin_and_named_ones_are_allowed(
    origin: str | None, host: str, allowed: bool
) -> None:
    origins = Origins(("https://app.example", "app://desktop"))
    assert origins.allows(origin, host) is allowed
    assert origins.trusts(origin, host) is allowed
    headers = origins.headers(origin, host)
    assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert ("Access-Control-Allow-Credentials" in headers) is (allowed and origin is not None)


def test_a_star_allows_everybody_but_trusts_nobody_with_cookies() -> None:
    origins = Origins(("*",))
    assert origins.allows("https://evil.example", "chat.example")
    assert not origins.trusts("https://evil.example", "chat.example")
    headers = origins.headers("https://evil.example", "chat.example")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin", ["null", "http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:80"]
)
def test_development_allows_files_and_any_port_of_this_machine(origin: str) -> None:
    assert Origins(development=True).allows(origin, "localhost:8000")
    assert not Origins(development=True).allows("https://evil.example", "localhost:8000")


@pytest.mark.parametrize(
    ("forwarded", "hops", "peer"),
    [
        ([], 0, "10.0.0.1"),
        (["1.1.1.1"], 0, "10.0.0.1"),
        (["1.1.1.1"], 1, "1.1.1.1"),
        (["6.6.6.6, 1.1.1.1"], 1, "1.1.1.1"),
        (["6.6.6.6", "1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
        (["1.1.1.1"], 2, "1.1.1.1"),
        ([""], 1, "10.0.0.1"),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(forwarded: list[str], hops: int, peer: str) -> None:
    assert peer_address("10.0.0.1", forwarded, hops) == peer
