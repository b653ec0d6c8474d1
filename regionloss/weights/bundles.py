"""Bundles of cached weight files, for machines without a network: a folder or a tar with a manifest."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Any

from regionloss.disk import scratch, to_disk, whole
from regionloss.errors import WeightsError, expected, reason_of
from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import check, converted_path, folder, refuse, sha256_of, short
from regionloss.weights.locate import find

MANIFEST = "manifest.json"
BUNDLE = "a folder or a '.tar' of 'regionloss weights export'"


@dataclass(frozen=True)
class BundledFile:
    """One line of a bundle's manifest."""

    name: str
    filename: str
    sha256: str
    size: int
    licence: str
    source: str


def export_bundle(target: str | os.PathLike[str], records: Iterable[WeightRecord]) -> list[BundledFile]:
    """Write the files of these records that are here to a folder, or to a `.tar`, with a manifest.

    Files that are missing are left out; a file of another hash than its record's is refused.

    Raises:
        WeightsError: The target exists, or is neither; a file has a wrong hash; none is here.
    """
    bundle, files = Path(target).expanduser(), []
    for record in records:
        if (found := find(record)) is not None:
            files.append((check(record, found), record))
    if not files:
        raise WeightsError("none of these weights is here to export. Run 'regionloss weights fetch NAME' first.")
    if bundle.suffix not in ("", ".tar"):
        raise WeightsError(expected(f"bundle {bundle}", "a folder or a '.tar'", f"'{bundle.suffix}'"))
    if bundle.exists() and (bundle.is_file() or any(bundle.iterdir())):
        raise WeightsError(f"bundle {bundle} exists already. Choose another name.")
    lines = [_line(record, file) for file, record in files]
    manifest = json.dumps({"version": 1, "files": [asdict(line) for line in lines]}, indent=2) + "\n"
    named = [(file, line.filename) for (file, _), line in zip(files, lines, strict=True)]
    with whole(bundle) as part:
        (_write_folder if bundle.suffix != ".tar" else _write_tar)(part, manifest, named)
    return lines


def _line(record: WeightRecord, file: Path) -> BundledFile:
    # A converted file keeps its own ending, so that it is found again beside the place of its original.
    name = Path(record.filename).with_suffix(file.suffix).name if record.needs_conversion else record.filename
    return BundledFile(record.canonical, name, sha256_of(file), file.stat().st_size, record.licence, record.source)


def _write_folder(folder: Path, manifest: str, files: list[tuple[Path, str]]) -> None:
    folder.mkdir(parents=True)
    for file, name in files:
        shutil.copyfile(file, folder / name)
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")


def _write_tar(tar: Path, manifest: str, files: list[tuple[Path, str]]) -> None:
    with tarfile.open(tar, "w") as tarred:
        for file, name in files:
            tarred.add(file.resolve(), arcname=name, recursive=False)
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(manifest.encode())
        tarred.addfile(info, io.BytesIO(manifest.encode()))


def import_bundle(
    source: str | os.PathLike[str], known: Iterable[WeightRecord] | None = None, unverified: Collection[str] = ()
) -> list[tuple[BundledFile, bool]]:
    """Copy the files of a bundle into the cache, each checked against what is registered here.

    All lines and all files are checked before the first one reaches the cache, and where one cannot be put there none
    stays; what is in the cache already is kept.

    Args:
        source: A folder or `.tar` written by `export_bundle`.
        known: Records registered here, those of all plugins by default; no others are taken.
        unverified: Names of weights whose file is taken on your word, since no hash can be compared: none is
            registered, or the file was converted.

    Returns:
        The files, and whether each is new to the cache.

    Raises:
        WeightsError: No bundle; a name that is not registered or leads elsewhere; a missing file; a wrong hash; a
            file that nothing vouches for.
    """
    bundle = Path(source).expanduser()
    if known is None:
        from regionloss.hooks.catalogue import catalogue  # lazily: what is given needs no plugin

        known = catalogue().weights()
    records = {record.canonical: record for record in known}
    with _opened(bundle) as stream_of:
        lines = _manifest(bundle, stream_of)
        for line in lines:
            _vouch(bundle, line, records.get(line.name), unverified)
        with to_disk(folder()), scratch(folder() / "import") as work:
            work.mkdir()
            found = [(line, _staged(bundle, line, records[line.name], stream_of, work)) for line in lines]
            _put(work, [line.filename for line, new in found if new])
    return found


def _vouch(bundle: Path, line: BundledFile, record: WeightRecord | None, unverified: Collection[str]) -> None:
    """Raise a WeightsError for a line that is of no record, or whose file only the user can vouch for."""
    where = f"weights '{line.name}' in {bundle}"
    if record is None:
        advice = "Install the plugin that registers them, or leave them out of the bundle."
        raise WeightsError(expected(where, "weights that a plugin registers here", "another name", advice))
    converted = record.needs_conversion and line.filename == converted_path(Path(record.filename)).name
    if line.filename != record.filename and not converted:
        raise WeightsError(expected(where, f"file '{record.filename}'", f"'{line.filename}'", "Export it again."))
    if (converted or not record.sha256) and not {record.canonical, record.name} & set(unverified):
        got = "a converted file, whose hash nobody has registered" if converted else "one without a registered hash"
        advice = f"If you trust where the bundle came from, say --unverified {record.canonical}."
        raise WeightsError(expected(where, "a file that can be compared", got, advice))


@contextlib.contextmanager
def _opened(bundle: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Open a bundle; yields what opens its file of a plain name, and nothing that is a link."""
    if bundle.is_dir():

        def from_folder(name: str) -> IO[bytes]:
            file = bundle / name
            if file.is_symlink() or not file.is_file():
                raise WeightsError(expected(f"bundle {bundle}", f"a file '{name}'", "none"))
            return file.open("rb")

        yield from_folder
    elif bundle.is_file():
        with bundle.open("rb") as file:
            tarred, members = _listed(bundle, file)

            def from_tar(name: str) -> IO[bytes]:
                stream = tarred.extractfile(members[name]) if name in members else None
                if stream is None:
                    raise WeightsError(expected(f"bundle {bundle}", f"a file '{name}'", "none"))
                return stream

            yield from_tar
    else:
        raise WeightsError(expected(f"bundle {bundle}", BUNDLE, "nothing"))


def _listed(bundle: Path, file: IO[bytes]) -> tuple[tarfile.TarFile, dict[str, tarfile.TarInfo]]:
    """Return a tar and its files by name: none is larger than the bundle, as would be what is packed or sparse."""
    try:
        tarred = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 (closed with the file)
        return tarred, {one.name: one for one in tarred.getmembers() if one.isreg() and not one.issparse()}
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise WeightsError(
            expected(f"bundle {bundle}", BUNDLE, f"another file, or a part of one ({reason_of(error)})")
        ) from error


def _manifest(bundle: Path, stream_of: Callable[[str], IO[bytes]]) -> list[BundledFile]:
    with stream_of(MANIFEST) as stream:
        text = stream.read(10_000_000)
    try:
        content: Any = json.loads(text)
        if content["version"] != 1:
            raise WeightsError(expected(f"bundle {bundle}", "version 1", str(content["version"]), "Update regionloss."))
        lines = [BundledFile(**entry) for entry in content["files"]]
        if any(not isinstance(text, str) for line in lines for text in (line.name, line.filename, line.sha256)):
            raise TypeError("a name or hash is no text")
        if not lines:
            raise ValueError("it lists no files")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"bundle {bundle}: its {MANIFEST} cannot be read ({error}). Export it again.") from error
    for line in lines:
        if not _is_plain(line.filename):
            raise WeightsError(
                expected(f"bundle {bundle}", "plain file names", repr(line.filename), "Do not trust it.")
            )
    return lines


def _is_plain(name: object) -> bool:
    """Whether a name is one of a file in this very folder, on any system, and not hidden."""
    if not isinstance(name, str) or name == "" or name.startswith("."):
        return False
    return PureWindowsPath(name).name == name and not {":", "\0"} & set(name)


def _staged(
    bundle: Path, line: BundledFile, record: WeightRecord, stream_of: Callable[[str], IO[bytes]], work: Path
) -> bool:
    """Copy one file into a folder and check it; return whether it is new: not in the cache, and of no earlier line."""
    target, part, where = folder() / line.filename, work / line.filename, f"weights '{line.name}' in {bundle}"
    new = not part.exists()
    if new:
        with stream_of(line.filename) as stream, part.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    if (got := sha256_of(part)) != line.sha256:
        raise WeightsError(expected(where, f"sha256 {short(line.sha256)}", short(got), "Copy the bundle again."))
    refuse(record, part, where, "It is not the file that is registered here.")
    if not target.exists():
        return new
    if not target.is_file():
        raise WeightsError(expected(f"{target}", "a file, or none", "a folder", "Delete it and import again."))
    if (held := sha256_of(target)) != line.sha256:
        advice = "Delete the file and import again."
        raise WeightsError(expected(f"{target}", f"sha256 {short(line.sha256)}", short(held), advice))
    return False


def _put(work: Path, names: list[str]) -> None:
    """Move files into the cache, all of them or none."""
    put: list[Path] = []
    try:
        for name in names:
            os.replace(work / name, folder() / name)
            put.append(folder() / name)
    except BaseException:
        for file in put:
            file.unlink(missing_ok=True)
        raise
