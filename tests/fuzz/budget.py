"""How long the fuzzing takes: some seconds, or with HYPOTHESIS_PROFILE=more as long as it is worth it."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MORE = 30 if os.environ.get("HYPOTHESIS_PROFILE") == "more" else 1


def examples(count: int) -> settings:
    """So many examples, or thirty times as many."""
    return settings(
        max_examples=count * MORE,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
