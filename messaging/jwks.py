"""Keys from a JWKS document (RFC 7517): fetched over https, kept, and fetched anew when a token names others.

Which algorithm goes with a key is decided by its type, as for keys from the settings; a key that says it is
for another one, or not for signatures, is left out. Secrets among the keys are never used.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import jwt
import orjson

from messaging.domain.errors import Unavailable
from messaging.outgoing.client import Outgoing, OutgoingFailed, OutgoingRefused
from messaging.tokens import Key, key_for

FETCH_SECONDS = 3.0
"""How long the document may take to come."""
REFETCH_SECONDS = 60.0
"""How long at least between two fetches while there are keys."""
RETRY_SECONDS = 5.0
"""The same while there are none."""
REFRESH_SECONDS = 600.0
"""Keys that are older are fetched anew when they are used, so that one which was taken back goes."""
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 100

logger = logging.getLogger("messaging.jwks")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The usable keys of a document: those with a name (`kid`), and those without."""

    named: Mapping[str, Key] = field(default_factory=dict)
    nameless: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.named or self.nameless)

    def find(self, kid: str | None) -> Sequence[Key]:
        """Those that may have signed a token which names `kid`; one without a name may be from any."""
        if kid is None:
            return (*self.named.values(), *self.nameless)
        return (self.named[kid],) if kid in self.named else self.nameless


def read_document(data: bytes) -> KeySet:
    """The usable keys in a JWKS document; ValueError for what is none, or holds no usable key."""
    document = orjson.loads(data)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("is not a JWKS document")
    named: dict[str, Key] = {}
    nameless: list[Key] = []
    for entry in entries[:MAX_KEYS]:
        key = _usable(entry)
        kid = entry.get("kid") if isinstance(entry, dict) else None
        if key is None:
            continue
        if isinstance(kid, str):
            named.setdefault(kid, key)
        else:
            nameless.append(key)
    found = KeySet(named=named, nameless=tuple(nameless))
    if not found:
        raise ValueError("has no key for RS256, ES256 or EdDSA")
    return found


def _usable(entry: object) -> Key | None:
    if not isinstance(entry, dict) or "d" in entry or entry.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        # What the entry says of its algorithm is compared, never followed.
        key = key_for(jwt.PyJWK({name: each for name, each in entry.items() if name != "alg"}).key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if entry.get("alg", key.algorithm) == key.algorithm else None


class Jwks:
    """The keys at a URL (`tokens.Keys`). Must be closed. `clock` gives monotonic seconds."""

    def __init__(self, url: str, out: Outgoing, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        """Rises with each change of the keys."""
        self._url = url
        self._out = out
        self._clock = clock
        self._keys = KeySet()
        self._tried_at: float | None = None
        self._fetched_at = 0.0
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Fetch the keys before anybody needs them. Nothing waits for it."""
        self._begin()

    async def close(self) -> None:
        """Stop. Idempotent."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._out.close()

    async def find(self, kid: str | None) -> Sequence[Key]:
        """The keys that may have signed a token which names `kid`, none where it is unknown.

        Fetches them where the name is not known, at most once a minute. Raises Unavailable where it cannot be
        known whether there is such a key, because the document cannot be had.
        """
        found = self._keys.find(kid)
        if found and (kid is None or kid in self._keys.named):
            if self._clock() - self._fetched_at > REFRESH_SECONDS:
                self._begin()
            return found
        self._begin()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        found = self._keys.find(kid)
        if not found and self._failed:
            raise Unavailable("The keys that tokens are signed with cannot be had now; try again.")
        return found

    async def fetch(self) -> KeySet:
        """The keys as they are at the URL now. Raises ValueError, OutgoingFailed or OutgoingRefused."""
        if not self._url.startswith("https://"):
            raise OutgoingRefused("must begin with https://")
        answer = await self._out.get(
            self._url, max_bytes=MAX_DOCUMENT_BYTES, headers={"Accept": "application/json"}
        )
        if answer.status != 200:
            raise OutgoingFailed(f"answered {answer.status}")
        if answer.body is None:
            raise ValueError("is too large")
        return read_document(answer.body)

    def _begin(self) -> None:
        """Fetch, unless that is being done, or was done just now."""
        now = self._clock()
        pause = REFETCH_SECONDS if self._keys else RETRY_SECONDS
        if self._fetching is None and (self._tried_at is None or now - self._tried_at >= pause):
            self._tried_at = now
            self._fetching = asyncio.create_task(self._refresh(), name="fetch keys")

    async def _refresh(self) -> None:
        try:
            keys = await self.fetch()
        except (OutgoingFailed, OutgoingRefused, ValueError) as error:
            self._failed = True
            kept = "the keys that are known stay" if self._keys else "there are no keys yet"
            logger.warning("JWT_JWKS_URL %s; %s", error, kept)
        else:
            self._failed = False
            self._fetched_at = self._clock()
            if keys != self._keys:
                self._keys = keys
                self.generation += 1
                logger.info("JWT_JWKS_URL: %d keys", len(keys.named) + len(keys.nameless))
        finally:
            self._fetching = None
