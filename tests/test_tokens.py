"""Tokens: whose they are, how long they last, and that nothing bad gets through or leaks."""

from __future__ import annotations

import json
import logging
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.domain.errors import AuthFailed
from messaging.domain.models import Identity, Profile
from messaging.tokens import MAX_CACHED_TOKENS, JsonWebTokens, mint, public_key, secret_key

SECRET = "a secret of more than thirty-two bytes"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EXP = int(NOW.timestamp()) + 60

PrivateKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)


class SettableClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def tokens(**options: Any) -> JsonWebTokens:
    usual: dict[str, Any] = {"secret": SECRET, "clock": SettableClock()}
    return JsonWebTokens(**(usual | options))


def signed(claims: object, *, key: Any = SECRET, algorithm: str = "HS256") -> str:
    payload = json.dumps(claims).encode()
    return jwt.PyJWS().encode(payload, key, algorithm=algorithm)


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": EXP, **more}


def public_pem(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


async def identity(**more: Any) -> Identity:
    return await tokens().verify(signed(claims(**more)))


async def refusal(token: str, **options: Any) -> str:
    with pytest.raises(AuthFailed) as refused:
        await tokens(**options).verify(token)
    return refused.value.message


# --- who ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_claims", "user_id"),
    [
        ({"sub": "alice"}, "alice"),
        ({"sub": 7}, "7"),
        ({"userId": "b"}, "b"),
        ({"user_id": 0}, "0"),
        ({"id": "d"}, "d"),
        ({"id": "d", "user_id": "c", "userId": "b"}, "b"),
        ({"sub": None, "id": 12}, "12"),
        ({"sub": "alice", "id": ["not looked at"]}, "alice"),
    ],
)
async def test_the_first_present_id_claim_names_the_user(given_claims: dict[str, Any], user_id: str) -> None:
    assert (await tokens().verify(signed({"exp": EXP, **given_claims}))).profile.id == user_id


@pytest.mark.parametrize(
    "bad", ["", " a", "a/b", "a\n", "x" * 129, True, 1.0, ["a"], {"$ne": None}, "system"]
)
async def test_a_bad_id_is_refused_and_not_followed_by_the_next_claim(bad: object) -> None:
    assert "claim sub" in await refusal(signed(claims(sub=bad, userId="bob")))


async def test_a_token_without_an_id_is_refused() -> None:
    assert "names no user" in await refusal(signed({"exp": EXP}))


async def test_profile_claims_are_kept_and_others_are_not() -> None:
    profile = {
        "username": "al",
        "name": "Alice",
        "firstName": "A",
        "lastName": "L",
        "salonName": "Chez A",
        "image": "https://example.com/a.png",
        "email": "a@example.com",
        "role": "stylist",
    }
    assert (await identity(**profile, password="x")).profile == Profile(
        id="alice",
        username="al",
        name="Alice",
        first_name="A",
        last_name="L",
        salon_name="Chez A",
        image="https://example.com/a.png",
        email="a@example.com",
        role="stylist",
    )


async def test_blank_and_null_profile_claims_count_as_absent() -> None:
    assert (await identity(name="  ", username=None, role="")).profile == Profile(id="alice")


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        ("https://example.com/a.png", "https://example.com/a.png"),
        ("/a.png", "/a.png"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//elsewhere.example/a.png", None),
        ("a picture", None),
    ],
)
async def test_only_what_can_be_shown_as_a_picture_is_one(claimed: str, shown: str | None) -> None:
    assert (await identity(image=claimed)).profile.image == shown


@pytest.mark.parametrize("claim", ["username", "name", "firstName", "salonName", "image", "email", "role"])
@pytest.mark.parametrize("bad", [1, True, ["x"], {"x": 1}, "x" * 3000, "\ud800"])
async def test_a_profile_claim_of_the_wrong_kind_is_refused_by_name(claim: str, bad: object) -> None:
    assert f"claim {claim} " in await refusal(signed(claims(**{claim: bad})))


# --- roles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_claims", "shown", "service", "admin"),
    [
        ({}, "user", False, False),
        ({"role": "stylist"}, "stylist", False, False),
        ({"role": "service"}, "user", True, False),
        ({"roles": ["x", "service"]}, "user", True, False),
        ({"roles": "service"}, "user", True, False),
        ({"role": "boss"}, "boss", False, True),
        ({"role": "stylist", "roles": ["boss", "service"]}, "stylist", True, True),
        ({"role": "Service"}, "Service", False, False),
    ],
)
async def test_roles_decide_who_is_a_service_or_an_admin(
    given_claims: dict[str, Any], shown: str, service: bool, admin: bool
) -> None:
    found = await tokens(admin_roles=["boss"]).verify(signed(claims(**given_claims)))
    assert (found.profile.role, found.service, found.admin) == (shown, service, admin)


@pytest.mark.parametrize("bad", [1, {"service": True}, ["service", 1], [["service"]]])
async def test_roles_of_the_wrong_kind_are_refused(bad: object) -> None:
    assert "claim roles" in await refusal(signed(claims(roles=bad)))


# --- how long ----------------------------------------------------------------------------------------


async def test_a_token_ends_ten_seconds_after_its_exp() -> None:
    clock = SettableClock()
    verifier = tokens(clock=clock)
    token = signed(claims(iat=EXP - 60))
    end = datetime.fromtimestamp(EXP + 10, UTC)
    found = await verifier.verify(token)
    assert (found.issued_at, found.expires_at) == (NOW, end)
    clock.now = end - SECOND
    assert await verifier.verify(token) == found
    clock.now = end
    for _ in range(2):  # known or not
        with pytest.raises(AuthFailed, match="expired"):
            await verifier.verify(token)


async def test_an_end_is_required_unless_settings_say_otherwise() -> None:
    token = signed({"sub": "alice"})
    assert "has no end" in await refusal(token)
    assert (await tokens(require_exp=False).verify(token)).expires_at is None


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("bad", [str(EXP), True, [EXP], float("nan"), float("inf"), -1, 1e300, 10**400])
@pytest.mark.parametrize("require_exp", [True, False])
async def test_a_time_that_is_none_is_refused(claim: str, bad: object, require_exp: bool) -> None:
    token = signed(claims(**{claim: bad}))
    assert f"claim {claim} is not" in await refusal(token, require_exp=require_exp)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_from_the_future_is_refused_past_the_leeway(claim: str) -> None:
    now = NOW.timestamp()
    assert "not valid yet" in await refusal(signed(claims(**{claim: now + 11})))
    await identity(**{claim: now + 10})


async def test_a_fraction_of_a_second_is_kept_to_the_millisecond() -> None:
    found = await identity(exp=EXP + 0.1239)
    assert found.expires_at == datetime.fromtimestamp(EXP + 10, UTC) + timedelta(milliseconds=123)


# --- for whom ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "good"),
    [("chat", True), (["x", "chat"], True), ("other", False), (["x"], False), (None, False), ([{}], False)],
)
async def test_the_audience_is_checked_where_one_is_set(audience: object, good: bool) -> None:
    token = signed(claims(aud=audience))
    await tokens().verify(token)
    if good:
        await tokens(audience="chat").verify(token)
    else:
        assert "audience" in await refusal(token, audience="chat")


@pytest.mark.parametrize(
    ("issuer", "good"), [("host", True), ("other", False), (None, False), (["host"], False)]
)
async def test_the_issuer_is_checked_where_one_is_set(issuer: object, good: bool) -> None:
    token = signed(claims(iss=issuer))
    await tokens().verify(token)
    if good:
        await tokens(issuer="host").verify(token)
    else:
        assert "issuer" in await refusal(token, issuer="host")


# --- signatures and keys -----------------------------------------------------------------------------

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()


@pytest.mark.parametrize(
    ("private", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED25519, "EdDSA"), (ED448, "EdDSA")]
)
async def test_the_type_of_a_public_key_is_its_algorithm(private: PrivateKey, algorithm: str) -> None:
    assert public_key(public_pem(private)).algorithm == algorithm
    token = signed(claims(), key=private, algorithm=algorithm)
    verifier = tokens(secret=None, public_key_pem=public_pem(private))
    assert (await verifier.verify(token)).profile.id == "alice"


async def test_with_a_secret_and_a_public_key_either_signs() -> None:
    verifier = tokens(public_key_pem=public_pem(RSA))
    await verifier.verify(signed(claims()))
    await verifier.verify(signed(claims(), key=RSA, algorithm="RS256"))


def hs256(key: bytes, payload: dict[str, Any]) -> str:
    algorithm = jwt.get_algorithm_by_name("HS256")
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, payload)]
    body = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (body + b"." + urlsafe_b64encode(algorithm.sign(body, key)).rstrip(b"=")).decode()


async def test_a_public_key_never_serves_as_a_secret() -> None:
    pem = public_pem(RSA)
    forged = hs256(pem.encode(), claims())
    assert "algorithm" in await refusal(forged, secret=None, public_key_pem=pem)
    assert "signature" in await refusal(forged, public_key_pem=pem)


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_no_other_algorithm_than_the_keys_is_accepted(algorithm: str) -> None:
    token = signed(claims(), key=None if algorithm == "none" else SECRET, algorithm=algorithm)
    assert "algorithm" in await refusal(token)


async def test_a_wrong_signature_is_refused() -> None:
    assert "signature" in await refusal(signed(claims(), key=SECRET[::-1]))
    header, _, signature = signed(claims()).split(".")
    body = signed(claims(sub="bob")).split(".")[1]
    assert "signature" in await refusal(f"{header}.{body}.{signature}")


@pytest.mark.parametrize("weak", ["", "short", "x" * 31])
def test_a_weak_secret_is_refused_at_construction(weak: str) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        tokens(secret=weak)


def test_a_secret_is_counted_in_bytes() -> None:
    assert secret_key("é" * 16).algorithm == "HS256"


def test_a_public_key_is_no_secret() -> None:
    with pytest.raises(ValueError, match="not a public key"):
        secret_key(public_pem(RSA))


def test_there_is_no_verifier_without_a_key() -> None:
    with pytest.raises(ValueError, match="is needed"):
        tokens(secret=None)


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "PEM"),
        ("no key", "PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "PEM"),
        (private_pem(ED25519), "private"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048"),
    ],
    ids=["empty", "text", "broken", "private", "another curve", "small"],
)
def test_a_public_key_that_is_none_or_weak_is_refused_at_construction(pem: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tokens(secret=None, public_key_pem=pem)


# --- anything ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIM_NAMES = st.sampled_from(
    ["sub", "userId", "user_id", "id", "exp", "nbf", "iat", "aud", "iss", "role", "roles", "name", "email"]
)


async def only_refuses(token: str) -> None:
    with suppress(AuthFailed):
        await tokens(audience="chat").verify(token)


@given(st.text(st.characters(codec=None)))
@example("")
@example("..")
@example("\ud800.a.b")
@example("[" * 100_000)
async def test_no_text_makes_verify_raise_anything_but_auth_failed(text: str) -> None:
    await only_refuses(text)


@given(st.dictionaries(CLAIM_NAMES, JSON) | JSON)
async def test_no_signed_claims_make_verify_raise_anything_but_auth_failed(payload: object) -> None:
    await only_refuses(signed(payload))


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.binary(), st.binary())
@example(b"[" * 3000, b"", b"")
@example(b'{"alg":["HS256"]}', b"{}", b"")
@example(b'{"alg":"HS256","b64":false,"crit":["b64"]}', b"", b"")
async def test_no_three_parts_make_verify_raise_anything_but_auth_failed(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    parts = (header, payload, signature)
    await only_refuses(".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts))


async def test_deep_nesting_in_signed_claims_is_refused() -> None:
    token = jwt.PyJWS().encode(b"[" * 5000, SECRET)
    assert await refusal(token) == "The token is not a JSON Web Token."


async def test_nothing_of_a_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await identity()
    await refusal(signed({"exp": EXP}))
    assert not caplog.records


# --- remembering -------------------------------------------------------------------------------------


async def test_a_token_is_decoded_once() -> None:
    verifier = tokens()
    token = signed(claims())
    assert await verifier.verify(token) is await verifier.verify(token)


async def test_a_bad_token_is_not_remembered_as_good() -> None:
    verifier = tokens()
    good = signed(claims())
    await verifier.verify(good)
    with pytest.raises(AuthFailed):
        await verifier.verify(good[:-1])


async def test_only_so_many_tokens_are_remembered_and_those_in_use_the_longest() -> None:
    verifier = tokens()
    used, unused = signed(claims(sub="used")), signed(claims(sub="unused"))
    first, forgotten = await verifier.verify(used), await verifier.verify(unused)
    for number in range(MAX_CACHED_TOKENS - 1):
        await verifier.verify(signed(claims(sub=number)))
        if number % 1000 == 0:
            await verifier.verify(used)
    assert await verifier.verify(used) is first
    again = await verifier.verify(unused)
    assert again == forgotten
    assert again is not forgotten


# --- minting -----------------------------------------------------------------------------------------


async def test_a_minted_token_is_accepted_with_all_that_it_says() -> None:
    token = mint(
        *(SECRET, "alice"), now=NOW, ttl=timedelta(hours=1), role="service", name="Alice", audience="chat"
    )
    found = await tokens(audience="chat").verify(token)
    assert found.profile == Profile(id="alice", name="Alice")
    assert found.service
    assert found.issued_at == NOW
    assert found.expires_at == NOW + timedelta(hours=1, seconds=10)


@pytest.mark.parametrize(("secret", "user"), [("short", "alice"), (SECRET, ""), (SECRET, "a/b")])
def test_nothing_is_minted_with_a_weak_secret_or_for_a_bad_id(secret: str, user: str) -> None:
    with pytest.raises(ValueError, match=r"must have|must not"):
        mint(secret, user, now=NOW, ttl=SECOND)
