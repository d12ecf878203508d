"""The harness's proxy before Redis finds where replies end, however they come in, and loses only messages."""

from __future__ import annotations

import random
from typing import cast

import pytest

from scripts.chaos_harness.bus_proxy import BusProxy, reply_end
from scripts.chaos_harness.proxy import Pipe

MESSAGE = b"*3\r\n$7\r\nmessage\r\n$3\r\na\r\n\r\n$2\r\nhi\r\n"
REPLIES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":12\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    MESSAGE,
]
PIPE = cast(Pipe, "a connection")
"""Only its identity matters."""


def proxy(share: float) -> BusProxy:
    made = BusProxy(0, random.Random(1))
    made.share = share
    return made


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_ends_where_it_ends_and_not_before(reply: bytes) -> None:
    assert reply_end(reply + b"+more\r\n") == len(reply)
    for size in range(len(reply)):
        assert reply_end(reply[:size]) is None


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_without_loss_all_bytes_go_on_in_their_order(size: int) -> None:
    everything = b"".join(REPLIES)
    some = proxy(0.0)
    pieces = [everything[start : start + size] for start in range(0, len(everything), size)]
    assert b"".join(some.filter(PIPE, piece) for piece in pieces) == everything
    assert (some.carried, some.lost) == (1, 0)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_only_messages_are_lost(size: int) -> None:
    everything = b"".join(REPLIES)
    some = proxy(1.0)
    pieces = [everything[start : start + size] for start in range(0, len(everything), size)]
    assert b"".join(some.filter(PIPE, piece) for piece in pieces) == b"".join(REPLIES[:-1])
    assert (some.carried, some.lost) == (1, 1)
