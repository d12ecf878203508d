"""The server's key for Web Push, by which push services know who sends (RFC 8292, VAPID)."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_TOKEN_SECONDS = 12 * 3600
"""How long a push service may take us at our word; at most a day."""
_FRESH_SECONDS = 3600
_SECRET_BYTES = 32
_MAX_ORIGINS = 100


class VapidKey:
    """A private key on P-256, and tokens made with it. `subject` is whom push services may write to."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, subject: str, now: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._subject = subject
        self._now = now
        self._tokens: dict[str, tuple[float, str]] = {}
        self.public_key = encoded(_point_of(key))

    def authorization(self, endpoint: str) -> str:
        """The header `Authorization` of a request to this endpoint."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        ends, token = self._tokens.get(origin, (0.0, ""))
        if ends - self._now() < _FRESH_SECONDS:
            token = self._token(origin)
        return f"vapid t={token}, k={self.public_key}"

    def _token(self, origin: str) -> str:
        ends = self._now() + _TOKEN_SECONDS
        token = jwt.encode({"aud": origin, "exp": int(ends), "sub": self._subject}, self._key, "ES256")
        if len(self._tokens) >= _MAX_ORIGINS:
            self._tokens.clear()
        self._tokens[origin] = (ends, token)
        return token


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A setting's key: 32 bytes in base64url, or a PEM (line breaks may be `\\n`). ValueError."""
    if text.startswith("-----BEGIN"):
        return _from_pem(text.replace("\\n", "\n"))
    try:
        secret = decoded(text)
    except ValueError:
        secret = b""
    if len(secret) != _SECRET_BYTES or not any(secret):
        raise ValueError("must be 32 bytes in base64url, or a PEM; make one with: messaging vapid-keys")
    return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())


def _from_pem(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("must be a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("must be a key on the curve P-256")
    return key


def new_key() -> tuple[str, str]:
    """A new private key and its public one, both in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_numbers().private_value.to_bytes(_SECRET_BYTES, "big")
    return encoded(secret), encoded(_point_of(key))


def is_on_curve(point: bytes) -> bool:
    """Whether these bytes are a public key on P-256, uncompressed."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return True


def encoded(data: bytes) -> str:
    """Bytes in base64url, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """The bytes that a text in base64url stands for, padded or not. ValueError."""
    plain = text.rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64url") from None


def _point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
