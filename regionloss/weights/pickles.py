"""The one door for files of `torch.save`: what such a file holds is read, and nothing that it asks for is run.

Every reader of the project comes through here (`tests/weights/test_doors.py` holds that), since torch's own door has a
side entrance: a TorchScript archive goes on to `torch.jit.load`, which runs what the archive brings.
"""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from regionloss.errors import RegionLossError, WeightsError, expected
from regionloss.weights.formats import refuse_foreign
from regionloss.weights.tuple_depth import DEEPEST, depth, too_deep

ZIP = b"PK"
PROTOCOL = b"\x80"
#: Pickles of a file that is no zip archive, up to its tensors' values.
PICKLES = 5
#: Bytes that a file's tensors may claim for each of its own: some share their values. Small files may claim ROOM.
SHARED, ROOM = 64, 2**30
#: Characters of a reader's own words that are shown.
SHOWN = 500
#: What marks a zip archive that holds a program, by the end of a member's path.
PROGRAMS = {
    "/constants.pkl": "a TorchScript program",
    "/extern_modules": "a program of torch.package",
    "/archive_format": "a program of torch.export",
    "/serialized_exported_program.json": "a program of torch.export",
    ".py": "an archive with a program",
}


def read_pickled(file: Path, what: str, advice: str = "", *, trust: bool = False, mapped: bool = False) -> Any:
    """Return what `torch.save` wrote, on the CPU, as plain dicts and lists (see `Plain`).

    Args:
        file: A file that is there.
        what: What it should be, for sentences: "weights", "a checkpoint".
        advice: What to do where it holds more than tensors.
        trust: Read such a file, too, with inert stand-ins for all that builds no tensor.
        mapped: Leave the tensors' values on the disk until they are used, by processes that share the memory for them.
            The file must stay as it is for as long as they are there.

    Raises:
        WeightsError: The file is broken, is a program, holds more than tensors (without `trust`), or claims much more
            than it has.
    """
    from regionloss.weights.plain import Plain

    with readable(file, what):
        plain = Plain()
        loaded = plain.of(_loaded(file, what, advice, trust, mapped))
        if plain.size > max(ROOM, SHARED * file.stat().st_size):
            got = f"ones of {plain.size / 1e9:.0f} GB in a file of {file.stat().st_size / 1e6:.3g} MB"
            raise WeightsError(expected(str(file), "tensors that are in it", got, "Do not trust it."))
        return loaded


@contextmanager
def readable(file: Path | str, what: str) -> Iterator[None]:
    """Turn whatever a file of strangers makes its readers raise into a sentence that names it.

    Args:
        file: The file, or what names it.
        what: What it should be.
    """
    try:
        yield
    except RegionLossError:
        raise
    except Exception as error:  # half a dozen kinds for a broken file, and a pickle whatever it likes
        raise broken(file, what, error) from error


def broken(file: Path | str, what: str, error: Exception) -> WeightsError:
    """Return the sentence for a file that its reader could not read."""
    said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    first, *rest = said.strip().splitlines() or [type(error).__name__]
    reason = f"{first} {rest[0].strip()}" if rest and first.endswith(":") else first
    return WeightsError(f"{file}: cannot be read as {what} ({reason.rstrip('.')[:SHOWN]}). Is the file whole?")


def _loaded(file: Path, what: str, advice: str, trust: bool, mapped: bool) -> Any:
    """Return what torch reads."""
    import torch

    from regionloss.weights.inert import inert_reader

    refuse_foreign(file)
    with file.open("rb") as stream:
        _refuse_others(file, stream, what)
        _refuse_deep(file, stream, what)
        if trust:
            return torch.load(stream, map_location="cpu", weights_only=False, pickle_module=inert_reader())
        try:
            source = str(file) if mapped else stream
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as error:
            raise WeightsError(expected(str(file), "tensors only", "other objects among them", advice)) from error


def _refuse_others(file: Path, stream: IO[bytes], what: str) -> None:
    """Raise a WeightsError for a file that torch should not be given, by its content; rewind it otherwise."""
    from regionloss.compat.torch import archive_members

    start = stream.read(8)
    stream.seek(0)
    if start.startswith(ZIP):
        names = [f"/{name}" for name in archive_members(stream)]
        held = next((got for end, got in PROGRAMS.items() if any(name.endswith(end) for name in names)), "")
        if held:
            advice = "A program is not read; ask its author for the state dict."
            raise WeightsError(expected(str(file), what, held, advice))
        if "/data.pkl" not in names:
            raise WeightsError(expected(str(file), what, "a zip archive of another kind"))
    elif _is_tar(stream):
        raise WeightsError(expected(str(file), what, "a tar archive"))
    elif start and not start.startswith(PROTOCOL):
        raise WeightsError(expected(str(file), what, "a file of another kind"))
    stream.seek(0)


def _refuse_deep(file: Path, stream: IO[bytes], what: str) -> None:
    """Raise a WeightsError for a pickle that would end the process; rewind it otherwise."""
    from regionloss.compat.torch import archive_pickle

    zipped = stream.read(len(ZIP)) == ZIP
    stream.seek(0)
    deep = too_deep(archive_pickle(stream)) if zipped else any(depth(stream) > DEEPEST for _ in range(PICKLES))
    if deep:
        raise WeightsError(expected(str(file), what, f"more than {DEEPEST:,} tuples inside one another"))
    stream.seek(0)


def _is_tar(stream: IO[bytes]) -> bool:
    """Whether it is a plain tar archive: what torch wrote before 0.2, and what its reader would unpack."""
    try:
        tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
