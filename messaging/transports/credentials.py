"""Which token decides who a connection belongs to (docs/protocols.md). Pure: it verifies nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNUSABLE = "unusable"
"""Stands for a token that is there but is no string: a bad one decides like a good one."""

_BEARER = "bearer "
_DEFLATE = "permessage-deflate"


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """What `Sec-WebSocket-Protocol` says: a token, and the protocol to answer with."""

    token: str | None = None
    answer: str | None = None


def deciding_token(
    *,
    auth: object = None,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
    trust_cookie: bool,
) -> str | None:
    """The first token that is not empty; None without any. A bad one is not followed by the next.

    `auth` is what a Socket.IO client gave with CONNECT. `trust_cookie`: the request comes from an allowed
    Origin, other than by a `*`.
    """
    cookie = cookies.get("access_token") if trust_cookie else None
    return (
        auth_token(auth)
        or _bare(query.get("token", ""))
        or bearer(headers.get("Authorization", ""))
        or subprotocol(headers.get("Sec-WebSocket-Protocol", "")).token
        or cookie
        or None
    )


def bearer(header: str) -> str | None:
    """The token of an `Authorization: Bearer` header; None for any other scheme."""
    return _bare(header) if header[: len(_BEARER)].lower() == _BEARER else None


def subprotocol(header: str) -> Subprotocol:
    """`bearer, <jwt>` is answered with `bearer`; a lone JWT and `permessage-deflate` are echoed."""
    match [part.strip() for part in header.split(",") if part.strip()]:
        case [scheme, token, *_] if scheme.lower() == "bearer":
            return Subprotocol(token, scheme)
        case [offered] if offered == _DEFLATE:
            return Subprotocol(None, offered)
        case [token] if token.count(".") == 2:
            return Subprotocol(token, token)
        case offers if _DEFLATE in offers:
            token = next((offer for offer in offers if offer.count(".") == 2), "")
            return Subprotocol(token or None, _DEFLATE)
        case _:
            return Subprotocol()


def auth_token(auth: object) -> str | None:
    """The token in what a Socket.IO client gave with CONNECT; None where it gave none."""
    token = auth.get("token") if isinstance(auth, Mapping) else None
    if token is None or token == "":
        return None
    return _bare(token) if isinstance(token, str) else UNUSABLE


def _bare(token: str) -> str:
    """The token without a leading `Bearer `, which is forgiven."""
    if token[: len(_BEARER)].lower() == _BEARER:
        token = token[len(_BEARER) :]
    return token.strip()
