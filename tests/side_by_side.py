"""Which tests may run beside which, where pytest-xdist runs several at once.

A worker has a MongoDB, a Redis and ports of its own. The tests of one file share servers, so they stay
together and in order; those that look at the clock while they keep the machine busy are one after another,
and begin first, since they take longest.
"""

from __future__ import annotations

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

BUSY_AND_TIMED = (
    "tests/benchmark/",
    "tests/faults/",
    "tests/transports/socketio/test_official_suites.py",
)


def is_busy_and_timed(nodeid: str) -> bool:
    """Whether a test may not run beside others like it."""
    return nodeid.startswith(BUSY_AND_TIMED)


class SideBySide(LoadFileScheduling):
    """Gives a worker one file after another, and all that is busy and timed to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return "busy and timed" if is_busy_and_timed(nodeid) else super()._split_scope(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, so that no worker is left with it in the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not is_busy_and_timed(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """pytest-xdist asks for who distributes the tests."""
    config.option.loadscopereorder = False  # ours is the order
    return SideBySide(config, log)
