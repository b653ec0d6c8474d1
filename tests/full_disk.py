"""A disk that takes no more, for any user and on any machine: the system refuses to let files grow."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 200_000  # bytes of a file
FULL = "File too large"


@contextmanager
def full_disk(most: int = MOST) -> Iterator[None]:
    """Let no file of this process, or of those that it starts, grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
