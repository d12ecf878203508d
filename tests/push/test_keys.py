"""The server's key for Web Push."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from messaging.push.keys import VapidKey, decoded, encoded, is_on_curve, new_key, private_key
from tests.push.browsers import who


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_new_key_is_read_back_with_the_same_public_key() -> None:
    secret, public = new_key()
    assert VapidKey(private_key(secret), "mailto:a@b.example").public_key == public
    assert len(decoded(public)) == 65
    assert is_on_curve(decoded(public))


def test_a_pem_will_do_also_with_escaped_line_breaks() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for text in (pem(key), pem(key).replace("\n", "\\n")):
        assert private_key(text).private_numbers() == key.private_numbers()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "?" * 43,
            encoded(bytes(31)),
            encoded(bytes(33)),
            encoded(bytes(32)),
            encoded(b"\xff" * 32),
        ),
        "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
    ],
)
def test_anything_else_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        private_key(text)


def test_a_push_service_can_tell_who_sends() -> None:
    secret, public = new_key()
    key = VapidKey(private_key(secret), "mailto:a@b.example", now=lambda: 4_000_000_000.0)
    claims, shown = who({"Authorization": key.authorization("https://push.example.com:8443/send/1?x")})
    assert claims == {
        "aud": "https://push.example.com:8443",
        "exp": 4_000_000_000 + 12 * 3600,
        "sub": "mailto:a@b.example",
    }
    assert shown == public


def test_a_token_is_made_once_for_a_push_service_until_it_is_old() -> None:
    now = [4_000_000_000.0]
    key = VapidKey(private_key(new_key()[0]), "mailto:a@b.example", now=lambda: now[0])
    first = key.authorization("https://push.example.com/1")
    assert key.authorization("https://push.example.com/2") == first
    assert key.authorization("https://other.example.com/2") != first
    now[0] += 11.5 * 3600
    later = key.authorization("https://push.example.com/1")
    assert later != first
    assert jwt.decode(later.split("t=")[1].split(",")[0], options={"verify_signature": False})["exp"] > now[0]


@pytest.mark.parametrize("text", ["é", "a b", "a.b", "=a"])
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decoded(text)


def test_a_point_off_the_curve_is_no_key() -> None:
    assert not is_on_curve(b"\x04" + bytes(64))
    assert not is_on_curve(b"")
