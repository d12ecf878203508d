"""The address that a request comes from (docs/protocols.md, Limits). Pure."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "unknown"


def peer_address(remote: str | None, forwarded_for: Sequence[str], trusted_hops: int) -> str:
    """The peer's address, or the one that our proxies put into `X-Forwarded-For`.

    Each of the `trusted_hops` proxies in front of us added one address on the right; what stands further
    left was written by the client and is not believed. `forwarded_for` holds all headers of that name.
    """
    peer = remote or UNKNOWN
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",") if hop.strip()]
    if trusted_hops <= 0 or not hops:
        return peer
    return hops[-trusted_hops] if len(hops) >= trusted_hops else hops[0]
