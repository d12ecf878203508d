"""JSON Web Tokens (RFC 7519): who the bearer is, and for how long. Knows no transport and no settings.

Which algorithm goes with which key is fixed here, from the key alone; what a token says about its
algorithm only decides which of the keys, if any, is tried (RFC 8725, section 3.1). PyJWT checks the
signature; every claim is checked here, because PyJWT takes a string for `exp` and refuses a number as `sub`.

A claim that is `null` counts as absent. A claim that is used and has the wrong type is refused, never
dropped: a host application that sends a number as `name` shall notice it at the first sign-in.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from messaging.domain import ids
from messaging.domain.errors import AuthFailed
from messaging.domain.links import link
from messaging.domain.models import Identity, Profile
from messaging.service.ports import Clock

MIN_SECRET_BYTES = 32
"""As many as the hash of HS256 has (RFC 7518, section 3.2)."""
MIN_RSA_BITS = 2048
LEEWAY_SECONDS = 10
MAX_TOKEN_CHARACTERS = 16_384
MAX_CLAIM_CHARACTERS = 2_048
MAX_CACHED_TOKENS = 10_000

USER_ID_CLAIMS = ("sub", "userId", "user_id", "id")
_PROFILE_CLAIMS = {
    "username": "username",
    "name": "name",
    "first_name": "firstName",
    "last_name": "lastName",
    "salon_name": "salonName",
    "image": "image",
    "email": "email",
}
UNACCEPTED = "The token is signed with an algorithm that is not accepted here."
UNKNOWN_KEY = "The token is signed with a key that is not known here (header kid)."
_LAST_SECOND = 253_402_300_799 - 86_400
"""A day before the last moment that a datetime holds, so that leeway fits behind it."""


class _Hs256(HMACAlgorithm):
    """HS256, which looks once at what its secret is. Whether that is a public key in disguise is otherwise
    asked with each token, which takes longer than the signature."""

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)
        self._fit: bytes | None = None

    def prepare_key(self, key: str | bytes) -> bytes:
        """As HMACAlgorithm.prepare_key."""
        if self._fit is None or key is not self._fit:
            self._fit = super().prepare_key(key)
        return self._fit


def _signatures() -> jwt.PyJWS:
    checked = jwt.PyJWS()
    checked.unregister_algorithm("HS256")
    checked.register_algorithm("HS256", _Hs256())
    return checked


# Only the signature is left to PyJWT: for claims it has a clock of its own, and other ideas of types.
_SIGNATURES = _signatures()

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


@dataclass(frozen=True, slots=True)
class Key:
    """What a token's signature is checked with, and the one algorithm that is used for it."""

    algorithm: str
    value: bytes | PublicKey


def secret_key(secret: str) -> Key:
    """HS256 with this secret; ValueError, which does not quote it, when it is too weak to be one."""
    value = secret.encode()
    if len(value) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(value)
    except jwt.InvalidKeyError:
        raise ValueError("must be a secret, not a public key") from None
    return Key("HS256", value)


def public_key(pem: str) -> Key:
    """The public key in `pem` with the algorithm of its type; ValueError, which does not quote it, else."""
    if "PRIVATE KEY" in pem:
        raise ValueError("must be the public key; the private one belongs to whoever makes the tokens")
    try:
        value = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be a public key in PEM format (-----BEGIN PUBLIC KEY-----)") from None
    return key_for(value)


def key_for(value: object) -> Key:
    """A public key with the algorithm of its type; ValueError for one of another kind, or too weak."""
    match value:
        case RSAPublicKey() if value.key_size >= MIN_RSA_BITS:
            return Key("RS256", value)
        case EllipticCurvePublicKey() if isinstance(value.curve, SECP256R1):
            return Key("ES256", value)
        case Ed25519PublicKey() | Ed448PublicKey():
            return Key("EdDSA", value)
        case _:
            raise ValueError("must be RSA of 2048 bits or more, EC on the curve P-256, Ed25519 or Ed448")


class Keys(Protocol):
    """Public keys that may change (a JWKS document)."""

    @property
    def generation(self) -> int:
        """Rises with each change of the keys."""

    async def find(self, kid: str | None) -> Sequence[Key]:
        """Those that may have signed a token which names `kid`. May fetch them; raises Unavailable."""


class JsonWebTokens:
    """Verifies tokens (`service.ports.Tokens`) that were signed with a secret or a public key's other half.

    With several keys, a token may be signed with any. Each good token is decoded once and then remembered by
    its hash until it ends, or until 10,000 others were seen since.

    Raises ValueError at construction for a weak key, or for none.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        public_key_pem: str | None = None,
        keys: Keys | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        require_exp: bool = True,
        service_roles: Collection[str] = ("service",),
        admin_roles: Collection[str] = (),
        leeway_seconds: float = LEEWAY_SECONDS,
        clock: Clock,
    ) -> None:
        self._keys = (
            *([secret_key(secret)] if secret is not None else []),
            *([public_key(public_key_pem)] if public_key_pem is not None else []),
        )
        if not self._keys and keys is None:
            raise ValueError("a secret or a public key is needed")
        self._more_keys = keys
        self._generation = 0
        self._audience = audience
        self._issuer = issuer
        self._require_exp = require_exp
        self._service_roles = frozenset(service_roles)
        self._admin_roles = frozenset(admin_roles)
        self._leeway = timedelta(seconds=leeway_seconds)
        self._clock = clock
        self._known: dict[bytes, Identity] = {}

    async def verify(self, token: str) -> Identity:
        """Who the token says its bearer is; AuthFailed says why for any token that is not good now,
        Unavailable that the keys cannot be had to find out."""
        if not token:
            raise AuthFailed("A token is needed to sign in.")
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise AuthFailed("The token is not a JSON Web Token.")
        if self._more_keys is not None and self._more_keys.generation != self._generation:
            self._generation = self._more_keys.generation
            self._known.clear()  # a key may have been taken back
        digest = hashlib.sha256(token.encode()).digest()
        identity = self._known.pop(digest, None) or self._identity(await self._claims(token))
        if identity.expires_at is not None and identity.expires_at <= self._clock():
            raise AuthFailed("The token has expired.")
        self._remember(digest, identity)
        return identity

    def _remember(self, digest: bytes, identity: Identity) -> None:
        self._known[digest] = identity  # behind all others: the first is the one not seen for longest
        if len(self._known) > MAX_CACHED_TOKENS:
            del self._known[next(iter(self._known))]

    async def _claims(self, token: str) -> Mapping[str, Any]:
        claims, refusal = _decoded(token, self._keys)
        if claims is None and self._more_keys is not None:
            claims, refusal = await self._by_more_keys(self._more_keys, token, refusal)
        if claims is None:
            raise AuthFailed(refusal)
        return claims

    async def _by_more_keys(
        self, more_keys: Keys, token: str, refusal: str
    ) -> tuple[Mapping[str, Any] | None, str]:
        kid = _kid(token)
        found = await more_keys.find(kid)
        unknown = kid is not None and not found and refusal == UNACCEPTED
        return _decoded(token, found, UNKNOWN_KEY if unknown else refusal)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        issued_at, expires_at = self._times(claims)
        self._check_party(claims)
        role = _text(claims, "role") or "user"
        roles = {role, *_roles(claims)}
        shown = "user" if role == "service" or role in self._service_roles else role
        return Identity(
            profile=_profile(claims, shown),
            issued_at=issued_at,
            expires_at=expires_at,
            service=not roles.isdisjoint(self._service_roles),
            admin=not roles.isdisjoint(self._admin_roles),
        )

    def _times(self, claims: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
        expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None and self._require_exp:
            raise AuthFailed("The token has no end (claim exp).")
        soon = self._clock() + self._leeway
        # A token from the future would outlive its revocation, which goes by the time of issue.
        if (begins is not None and begins > soon) or (issued is not None and issued > soon):
            raise AuthFailed("The token is not valid yet.")
        return issued, expires and expires + self._leeway

    def _check_party(self, claims: Mapping[str, Any]) -> None:
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise AuthFailed("The token comes from another issuer (claim iss).")
        if self._audience is None:
            return
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise AuthFailed("The token is for another audience (claim aud).")


def _decoded(
    token: str, keys: Sequence[Key], refusal: str = UNACCEPTED
) -> tuple[Mapping[str, Any] | None, str]:
    """The claims by the first key that fits; else why not. AuthFailed for what is no token at all."""
    for key in keys:
        try:
            payload = _SIGNATURES.decode(token, key.value, algorithms=[key.algorithm])
            return _claims_in(payload), ""
        except jwt.InvalidAlgorithmError:
            continue
        except jwt.InvalidSignatureError:
            refusal = "The token's signature is wrong."
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AuthFailed("The token is not a JSON Web Token.") from None
    return None, refusal


def _claims_in(payload: bytes) -> Mapping[str, Any]:
    """Raises ValueError for what is no JSON object."""
    claims = json.loads(payload)
    if not isinstance(claims, dict):
        raise ValueError("no object")
    return claims


def _kid(token: str) -> str | None:
    """The name of the key that a token says it was signed with."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise AuthFailed("The token is not a JSON Web Token.") from None
    return kid if isinstance(kid, str) else None


def _profile(claims: Mapping[str, Any], role: str) -> Profile:
    texts = {field: _text(claims, claim) for field, claim in _PROFILE_CLAIMS.items()}
    image = _image(texts.pop("image"))
    return Profile(id=_user_id(claims), role=role, image=image, **texts)


def _image(claimed: str | None) -> str | None:
    """What clients may show as a picture. Anything else is left out: it is no reason to let nobody in."""
    try:
        return None if claimed is None else link(claimed)
    except ValueError:
        return None


def _user_id(claims: Mapping[str, Any]) -> str:
    claim = next((name for name in USER_ID_CLAIMS if claims.get(name) is not None), None)
    if claim is None:
        raise AuthFailed("The token names no user (claim sub, userId, user_id or id).")
    try:
        return ids.user_id(claims[claim])
    except ValueError as wrong:
        raise AuthFailed(f"The token's user id (claim {claim}) {wrong}.") from None


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return None if value is None else _checked(name, value).strip() or None


def _roles(claims: Mapping[str, Any]) -> list[str]:
    value = claims.get("roles")
    if value is None:
        return []
    return [_checked("roles", role) for role in (value if isinstance(value, list) else [value])]


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise AuthFailed(f"The token's claim {name} is not text.")
    if len(value) > MAX_CLAIM_CHARACTERS:
        raise AuthFailed(f"The token's claim {name} is too long.")
    if any("\ud800" <= character <= "\udfff" for character in value):  # cannot be stored or sent as UTF-8
        raise AuthFailed(f"The token's claim {name} is not Unicode text.")
    return value


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AuthFailed(f"The token's claim {name} is not a number.")
    if not 0 <= value <= _LAST_SECOND:  # nor is NaN between them
        raise AuthFailed(f"The token's claim {name} is not a time.")
    return datetime.fromtimestamp(math.floor(value * 1000) / 1000, UTC)


def mint(
    secret: str,
    user_id: str,
    *,
    now: datetime,
    ttl: timedelta,
    role: str | None = None,
    name: str | None = None,
    username: str | None = None,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """A token for `user_id` that lasts for `ttl` from `now`, signed with HS256.

    Raises ValueError for a weak secret and for what cannot be a user id.
    """
    optional = {"role": role, "name": name, "username": username, "aud": audience, "iss": issuer}
    claims: dict[str, Any] = {claim: value for claim, value in optional.items() if value is not None}
    claims |= {"sub": ids.user_id(user_id), "iat": int(now.timestamp()), "exp": int((now + ttl).timestamp())}
    secret_key(secret)
    return jwt.encode(claims, secret, algorithm="HS256")
