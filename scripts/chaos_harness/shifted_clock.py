"""The messaging server with a wrong clock, for the harness alone: no setting of the server leads here.

`python -m scripts.chaos_harness.shifted_clock` serves like `messaging serve`; SIGUSR1 puts its clock one hour
forward of the system's, SIGUSR2 one hour back. All of Python's times are shifted, but for the monotonic one.
"""

from __future__ import annotations

import datetime
import signal
import time
from typing import Any

HOUR = 3_600.0

_real_time, _real = time.time, datetime.datetime
_shift = 0.0


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real)


class _Shifted(metaclass=_Meta):
    """`datetime`, but for the present."""

    def __new__(cls, *args: Any, **options: Any) -> datetime.datetime:  # type: ignore[misc]
        return _real(*args, **options)

    @staticmethod
    def now(tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _real.now(tz) + datetime.timedelta(seconds=_shift)


def _forward_all_else() -> None:
    for name in dir(_real):
        if not name.startswith("_") and name != "now":
            setattr(_Shifted, name, getattr(_real, name))


def _jump(shift: float) -> None:
    global _shift  # noqa: PLW0603  there is one clock
    _shift = shift


def main() -> None:
    _forward_all_else()
    setattr(datetime, "datetime", _Shifted)  # noqa: B010  mypy knows that nobody should
    time.time = lambda: _real_time() + _shift
    signal.signal(signal.SIGUSR1, lambda *_: _jump(HOUR))
    signal.signal(signal.SIGUSR2, lambda *_: _jump(-HOUR))
    from messaging.cli import main as command_line

    command_line(["serve"])


if __name__ == "__main__":
    main()
