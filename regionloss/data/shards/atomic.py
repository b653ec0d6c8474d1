"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from regionloss.compat.fsspec import parent_of
from regionloss.data.shards.paths import file_system, is_local
from regionloss.disk import temporary_name, whole


def write_whole(path: str, contents: bytes) -> None:
    """Write a file under a temporary name beside it, and rename it; what killed processes left there is removed.

    Args:
        path: Local, or an address that fsspec opens. Of several writers the last one wins, whole.
        contents: Contents of the file.

    Raises:
        DiskError: This machine's disk is full, or takes nothing; the file is as it was.
    """
    system, inner = file_system(path)
    if is_disk(system):
        with whole(Path(inner)) as temporary:
            temporary.write_bytes(contents)
        return
    parent, name = parent_of(system, inner), inner.rstrip("/").rpartition("/")[2]
    beside = f"{parent.rstrip('/')}/{temporary_name(name)[1]}"
    try:
        system.makedirs(parent, exist_ok=True)
        system.pipe_file(beside, contents)
        system.mv(beside, inner)
    except BaseException:
        with suppress(Exception):
            system.rm_file(beside)
        raise


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold a lock on the folder of a path: other processes that ask for it wait, where the disk has locks."""
    folder = None
    if is_local(path):
        # Without fcntl (Windows), or on a file system without locks, two writers are as rare as they are unguarded.
        with suppress(OSError, ImportError):
            import fcntl

            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if folder is not None:
            os.close(folder)


def is_disk(system: Any) -> bool:
    """Whether a file system of fsspec is this machine's own."""
    return "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,))
