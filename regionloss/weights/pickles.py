"""The one door for files of `torch.save`: what such a file holds is read, and nothing that it asks for is run.

Every reader of the project comes through here (`tests/weights/test_doors.py` holds that), since torch's own door has a
side entrance: a TorchScript archive goes on to `torch.jit.load`, which runs what the archive brings.
"""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path
from typing import IO, Any

from regionloss.errors import WeightsError, expected
from regionloss.weights.formats import refuse_foreign

ZIP = b"PK"
PROTOCOL = b"\x80"
#: What marks a zip archive that holds a program, by the end of a member's path.
PROGRAMS = {
    "/constants.pkl": "a TorchScript program",
    "/extern_modules": "a program of torch.package",
    "/archive_format": "a program of torch.export",
    "/serialized_exported_program.json": "a program of torch.export",
    ".py": "an archive with a program",
}


def read_pickled(file: Path, what: str, advice: str = "", *, trust: bool = False) -> Any:
    """Return what `torch.save` wrote, on the CPU.

    Args:
        file: A file that is there.
        what: What it should be, for sentences: "weights", "a checkpoint".
        advice: What to do where it holds more than tensors.
        trust: Read such a file, too, with inert stand-ins for all that builds no tensor.

    Raises:
        WeightsError: The file is broken, is a program, or holds more than tensors (without `trust`).
    """
    import torch

    from regionloss.weights.inert import inert_reader

    refuse_foreign(file)
    with file.open("rb") as stream:
        _refuse_others(file, stream, what)
        try:
            if trust:
                return torch.load(stream, map_location="cpu", weights_only=False, pickle_module=inert_reader())
            return torch.load(stream, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if trust:
                raise broken(file, what, error) from error
            raise WeightsError(expected(str(file), "tensors only", "other objects among them", advice)) from error
        except Exception as error:  # torch raises half a dozen kinds for a broken file, and a pickle whatever it likes
            raise broken(file, what, error) from error


def broken(file: Path, what: str, error: Exception) -> WeightsError:
    """Return the sentence for a file that its reader could not read."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return WeightsError(f"{file}: cannot be read as {what} ({reason}). Is the file whole?")


def _refuse_others(file: Path, stream: IO[bytes], what: str) -> None:
    """Raise a WeightsError for a file that torch should not be given, by its content; rewind it otherwise."""
    start = stream.read(8)
    stream.seek(0)
    if start.startswith(ZIP):
        names = _members(file, stream, what)
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


def _members(file: Path, stream: IO[bytes], what: str) -> list[str]:
    """Return the members as torch's own reader sees them: another reader may see others in a crafted archive."""
    from regionloss.compat.torch import archive_members

    try:
        return [f"/{name}" for name in archive_members(stream)]
    except Exception as error:  # torch raises several kinds for a broken archive
        raise broken(file, what, error) from error


def _is_tar(stream: IO[bytes]) -> bool:
    """Whether it is a plain tar archive: what torch wrote before 0.2, and what its reader would unpack."""
    try:
        tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
