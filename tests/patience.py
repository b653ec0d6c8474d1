"""How long a test waits for other processes before it calls them stuck."""

from __future__ import annotations

import time

QUIET = 0.12  # seconds that the measured work takes on an idle core of today
MARGIN = 10


def patience(seconds: float) -> float:
    """Return a limit for what takes `seconds` on a quiet machine: as much longer as this one, now, is slow or busy.

    A machine may become busier while a test waits, hence the margin: the limit ends what hangs, and nothing else.
    """
    began = time.perf_counter()
    sum(range(10_000_000))
    return seconds * MARGIN * max(1.0, (time.perf_counter() - began) / QUIET)
