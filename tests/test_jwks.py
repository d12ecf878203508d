"""Keys from a JWKS document on a real https server, and tokens that they sign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from messaging.domain.errors import AuthFailed, Unavailable
from messaging.jwks import REFETCH_SECONDS, REFRESH_SECONDS, RETRY_SECONDS, Jwks, read_document
from messaging.outgoing.client import Outgoing
from messaging.tokens import JsonWebTokens
from tests.certificates import Authority, authority
from tests.issuer import Issuer, issuing, private_key, public_jwk, signed

SECRET = "a-secret-of-more-than-thirty-two-bytes"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
KEYS = {algorithm: private_key(algorithm) for algorithm in ALGORITHMS}


class Seconds:
    """A monotonic clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def issuer(trusted: Authority) -> AsyncIterator[Issuer]:
    async with issuing(trusted) as there:
        there.keys = [public_jwk(a, KEYS[a], kid=a) for a in ALGORITHMS]
        yield there


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def keys(issuer: Issuer, trusted: Authority, seconds: Seconds) -> AsyncIterator[Jwks]:
    made = Jwks(issuer.url, Outgoing(allow_private=True, trust=trusted.trust), clock=seconds)
    yield made
    await made.close()


@pytest.fixture
def tokens(keys: Jwks) -> JsonWebTokens:
    return JsonWebTokens(keys=keys, clock=lambda: datetime.now(UTC))


async def settled(keys: Jwks) -> None:
    """What is fetched without anybody waiting has been."""
    async with asyncio.timeout(10):
        while keys._fetching is not None:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.01)


# --- which keys are used for what --------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_is_taken(
    tokens: JsonWebTokens, issuer: Issuer, algorithm: str
) -> None:
    for kid in (algorithm, None):
        identity = await tokens.verify(signed(KEYS[algorithm], algorithm, kid))
        assert identity.profile.id == "alice"
    assert issuer.fetched == 1


async def test_the_algorithm_is_the_keys_and_never_the_tokens(tokens: JsonWebTokens, issuer: Issuer) -> None:
    strong = signed(KEYS["RS256"], "RS512", "RS256")
    padded = signed(KEYS["RS256"], "PS256", "RS256")
    unsigned = jwt.encode({"sub": "alice", "exp": 9_999_999_999}, "", "none", headers={"kid": "RS256"})
    as_secret = jwt.encode(
        {"sub": "alice", "exp": 9_999_999_999}, issuer.keys[0]["n"], "HS256", headers={"kid": "RS256"}
    )
    for bad in (strong, padded, unsigned, as_secret):
        with pytest.raises(AuthFailed):
            await tokens.verify(bad)


async def test_a_token_of_another_key_under_a_known_name_is_refused(tokens: JsonWebTokens) -> None:
    with pytest.raises(AuthFailed, match="signature"):
        await tokens.verify(signed(private_key("ES256"), "ES256", "ES256"))


async def test_a_token_of_an_unknown_key_is_told_so(tokens: JsonWebTokens) -> None:
    with pytest.raises(AuthFailed, match="a key that is not known here"):
        await tokens.verify(signed(private_key("ES256"), "ES256", "another"))


WEAK = rsa.generate_private_key(65537, 1024)
LARGE = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    "entry",
    [
        public_jwk("RS256", KEYS["RS256"], use="enc"),
        public_jwk("RS256", KEYS["RS256"], alg="RS512"),
        public_jwk("RS256", KEYS["RS256"], key_ops=["encrypt"]),
        public_jwk("RS256", WEAK),
        public_jwk("ES256", LARGE),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
        {"kty": "RSA", "n": "AQ", "e": "AQAB", "d": "AQ"},
        *({"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": 1, "y": 2}, {}, [], 7, None),
    ],
)
def test_a_key_that_is_not_for_these_signatures_is_left_out(entry: Any) -> None:
    import orjson

    good = public_jwk("ES256", KEYS["ES256"], kid="good", use="sig", alg="ES256", key_ops=["verify"])
    found = read_document(orjson.dumps({"keys": [entry, good]}))
    assert list(found.named) == ["good"]
    assert found.nameless == ()
    with pytest.raises(ValueError, match="no key"):
        read_document(orjson.dumps({"keys": [entry]}))


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": {}}', b"<html>", b'{"keys": []}'])
def test_what_is_no_jwks_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_document(document)


# --- when they are fetched ---------------------------------------------------------------------------


async def test_an_unknown_name_fetches_at_most_once_a_minute(
    tokens: JsonWebTokens, issuer: Issuer, seconds: Seconds
) -> None:
    await tokens.verify(signed(KEYS["ES256"], "ES256", "ES256"))
    new = private_key("ES256")
    for _ in range(20):
        with pytest.raises(AuthFailed):
            await tokens.verify(signed(new, "ES256", "new"))
    assert issuer.fetched == 1
    issuer.keys.append(public_jwk("ES256", new, kid="new"))
    seconds.now += REFETCH_SECONDS
    at_once = await asyncio.gather(*(tokens.verify(signed(new, "ES256", "new", f"u{n}")) for n in range(20)))
    assert {identity.profile.id for identity in at_once} == {f"u{n}" for n in range(20)}
    assert issuer.fetched == 2


async def test_keys_stay_when_fetching_fails(
    tokens: JsonWebTokens, issuer: Issuer, seconds: Seconds, keys: Jwks
) -> None:
    await tokens.verify(signed(KEYS["ES256"], "ES256", "ES256"))
    for broken in ({"status": 500}, {"status": 302, "location": issuer.url}, {"body": b"x" * 300_000}):
        issuer.status, issuer.body, issuer.location = 200, None, ""
        for name, value in broken.items():
            setattr(issuer, name, value)
        seconds.now += REFRESH_SECONDS + 1
        await tokens.verify(signed(KEYS["ES256"], "ES256", "ES256", "bob"))
        await settled(keys)
        await tokens.verify(signed(KEYS["ES256"], "ES256", "ES256", "carol"))
        seconds.now += REFETCH_SECONDS
        with pytest.raises(Unavailable):
            await tokens.verify(signed(private_key("ES256"), "ES256", "unknown"))


async def test_without_any_keys_yet_nobody_is_told_that_their_token_is_bad(
    tokens: JsonWebTokens, issuer: Issuer, seconds: Seconds
) -> None:
    issuer.status = 503
    good = signed(KEYS["ES256"], "ES256", "ES256")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await tokens.verify(good)
    assert issuer.fetched == 1
    issuer.status = 200
    seconds.now += RETRY_SECONDS
    assert (await tokens.verify(good)).profile.id == "alice"


async def test_a_key_that_was_taken_back_is_noticed_also_for_known_tokens(
    tokens: JsonWebTokens, issuer: Issuer, seconds: Seconds, keys: Jwks
) -> None:
    known = signed(KEYS["ES256"], "ES256", "ES256")
    await tokens.verify(known)
    issuer.keys = [public_jwk("RS256", KEYS["RS256"], kid="RS256")]
    seconds.now += REFRESH_SECONDS + 1
    await tokens.verify(signed(KEYS["ES256"], "ES256", "ES256", "bob"))  # old keys once more: it is quick
    await settled(keys)
    with pytest.raises(AuthFailed):
        await tokens.verify(known)


async def test_a_server_that_is_not_trusted_is_not_believed(issuer: Issuer) -> None:
    keys = Jwks(issuer.url, Outgoing(allow_private=True))
    with pytest.raises(Unavailable):
        await keys.find("ES256")
    await keys.close()
    assert issuer.fetched == 0


async def test_plain_http_is_not_used(issuer: Issuer) -> None:
    keys = Jwks(issuer.url.replace("https", "http"), Outgoing(allow_private=True))
    with pytest.raises(Unavailable):
        await keys.find("ES256")
    await keys.close()
    assert issuer.fetched == 0


async def test_beside_it_a_secret_still_signs(keys: Jwks, issuer: Issuer) -> None:
    both = JsonWebTokens(secret=SECRET, keys=keys, clock=lambda: datetime.now(UTC))
    assert (await both.verify(signed(SECRET, "HS256", None))).profile.id == "alice"
    assert issuer.fetched == 0
    assert (await both.verify(signed(KEYS["RS256"], "RS256", "RS256"))).profile.id == "alice"


def test_the_folder_of_the_authority_holds_what_to_trust(trusted: Authority) -> None:
    assert isinstance(trusted.certificate, Path)
    assert trusted.certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")
