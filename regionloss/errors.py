"""Errors that say where, what was expected, what came, and what to do next.

Each error is also the standard error it replaces, so `except ValueError` goes on working.
"""

from __future__ import annotations

import difflib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class RegionLossError(Exception):
    """Base of every error that regionloss raises on purpose. One sentence or more, no traceback needed."""


class InputError(RegionLossError, ValueError):
    """A tensor, box or option is not what the interface asks for."""


class NotFiniteError(InputError):
    """A value is NaN or infinite."""


class UnknownNameError(RegionLossError, LookupError):
    """A name is not registered; says what was meant, perhaps."""


class WeightsError(RegionLossError, FileNotFoundError):
    """A weight file is missing, has another hash, or cannot be read."""


class PluginError(RegionLossError, ImportError):
    """A plugin could not be loaded, or clashes with another one."""


class RecipeError(RegionLossError, ValueError):
    """A recipe has mistakes; lists all of them, a line each."""


class LostProcessError(RegionLossError, ConnectionError):
    """Another process of a run ended, cannot be reached, or does not answer."""


class DiskError(RegionLossError, OSError):
    """A disk is full, or cannot be written; names the file and the disk."""


#: What the system says, and what it means for the disk.
DISK_TROUBLES = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "has no room left for this user (quota)",
    errno.EROFS: "can only be read",
    errno.EIO: "has an error",
}


#: Bytes: a disk with less room takes no file.
PAGE = 4096


@contextmanager
def on_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what is raised where a disk takes no more into a sentence that names it; other errors pass.

    Args:
        path: Of the file that is written.

    Raises:
        DiskError: The disk is full, or cannot be written.
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        disk = disk_of(path)
        room = shutil.disk_usage(disk).free
        # What libraries say of it is their own words, or of something else.
        silent = room < PAGE and not isinstance(error, OSError | RegionLossError)
        if number is None and (silent or os.strerror(errno.ENOSPC) in str(error)):
            number = errno.ENOSPC
        if number not in DISK_TROUBLES:
            raise
        trouble = f"the disk at {disk} {DISK_TROUBLES[number]} ({room / 1e6:.1f} MB left)"
        advice = "Make room, or write to another disk; what is done stays done."
        raise DiskError(f"{os.fspath(path)}: cannot be written, since {trouble}. {advice}") from error


def disk_of(path: str | os.PathLike[str]) -> str:
    """Return the folder at which the disk of a path is mounted."""
    there = os.path.realpath(path)
    while not os.path.ismount(there):
        there = os.path.dirname(there)
    return there


def expected(where: str, wanted: str, got: str, advice: str = "") -> str:
    """Return the house sentence `<where>: expected <wanted>, got <got>. <advice>`."""
    sentence = f"{where}: expected {wanted}, got {got}."
    return f"{sentence} {advice}" if advice else sentence


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'? Known: ...` for a misspelled name (without a guess where none is close)."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    return f"{guess}Known: {', '.join(names) if names else 'none'}."
