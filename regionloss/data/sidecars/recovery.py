"""A side-car that is to be written anew: what is there already, and what is done where nobody can read that."""

from __future__ import annotations

from hashlib import sha256

from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.paths import file_system
from regionloss.data.sidecars.sidecar import AGAIN, DamagedError, Sidecar, read_sidecar


def known_sidecar(path: str) -> tuple[Sidecar, str]:
    """Return what is at a path, and why it cannot be read; an empty side-car where there is none that can.

    Raises:
        InputError: No side-car, or of a version that is not known here.
    """
    try:
        return read_sidecar(path), ""
    except FileNotFoundError:
        return Sidecar.of([]), ""
    except DamagedError as error:
        return Sidecar.of([]), str(error).removesuffix(AGAIN).rstrip(". ")


def keep_copy(path: str) -> str:
    """Keep a copy of a file that is to be written over, under a name of its own; return that name."""
    system, inner = file_system(path)
    contents = system.cat_file(inner)
    copy = f"{path}.{sha256(contents).hexdigest()[:8]}.damaged"
    write_whole(copy, contents)
    return copy
