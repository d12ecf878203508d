"""Which addresses are outside of all private networks."""

from __future__ import annotations

import pytest

from messaging.outgoing.addresses import is_address, is_public

PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1"),
    *("64:ff9b:1::808:808", "2001:db8::1", "2001:0:1::1", "::127.0.0.1"),
    *("", "localhost", "example.org", "1", "127.1", "0x7f000001", "1.2.3.4.5"),
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_special_addresses_are_not_outside(address: str) -> None:
    assert is_public(address) is False


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_outside(address: str) -> None:
    assert is_public(address) is True


def test_a_name_is_no_address() -> None:
    assert [is_address(host) for host in ("::1", "10.0.0.1", "localhost", "0x7f.1")] == [
        True,
        True,
        False,
        False,
    ]
