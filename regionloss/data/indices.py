"""Where the images of a tar file lie: found out once, and kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import get_ident
from typing import IO, Any

from ..errors import InputError, expected
from .paths import file_system, is_image, is_local, printable

INDEX_VERSION = 3
GZIP = b"\x1f\x8b"
#: Bytes of a file's beginning and end that its mark is made of.
ENDS = 1 << 16
#: Bytes behind the end in which nothing but zeros is expected: more than any tar program fills up to.
BEHIND = 1 << 16


@dataclass(frozen=True)
class Index:
    """What a tar file holds: keys, and where each image's bytes lie.

    Args:
        keys: By image; WebDataset's: the member's path up to the first dot of its name.
        offsets: First byte of each.
        sizes: Bytes of each.
        problem: What ended the reading too early; empty where nothing did.
    """

    keys: list[str]
    offsets: list[int]
    sizes: list[int]
    problem: str = ""


def index_folder() -> Path:
    """Return the folder of indices: below `REGIONLOSS_HOME`, or in the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("REGIONLOSS_HOME")
    home = Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("regionloss", appauthor=False))
    return home / "indices"


@dataclass(frozen=True)
class Head:
    """What is known of a tar file without reading its index: how many images, and what is wrong with it."""

    images: int
    problem: str = ""


def headed(path: str, cache: Path) -> Head:
    """Return how many images a tar file has; the first time, this reads its headers."""
    if (kept := from_cache(path, cache, whole=False)) is not None:
        return Head(**kept[0])
    return head_of(indexed(path, cache))


def indexed(path: str, cache: Path) -> Index:
    """Return the index of a tar file, from the cache where it is of this very file."""
    if (kept := from_cache(path, cache, whole=True)) is not None:
        return Index(**kept[1], problem=kept[0]["problem"])
    index = scan(path)
    first = {"version": INDEX_VERSION, "stamp": signature(path), **asdict(head_of(index))}
    body = {"keys": index.keys, "offsets": index.offsets, "sizes": index.sizes}
    with suppress(OSError):  # A folder that cannot be written to costs time, no more.
        cache.mkdir(parents=True, exist_ok=True)
        temporary = place(path, cache).with_suffix(f".{os.getpid()}-{get_ident()}.tmp")
        try:
            temporary.write_text(f"{json.dumps(first)}\n{json.dumps(body)}\n", encoding="utf-8")
            temporary.replace(place(path, cache))
        finally:
            temporary.unlink(missing_ok=True)
    return index


def head_of(index: Index) -> Head:
    """Return what an index says in short."""
    return Head(len(index.keys), index.problem)


def place(path: str, cache: Path) -> Path:
    """Return where the index of a file is kept."""
    whole = os.path.abspath(path) if is_local(path) else path
    return cache / f"{sha256(whole.encode()).hexdigest()[:32]}.jsonl"


def from_cache(path: str, cache: Path, whole: bool) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return head and body (if wanted) of an index that is kept; None where there is none of this very file."""
    stamp = signature(path)
    with suppress(OSError, ValueError, KeyError, TypeError), open(place(path, cache), encoding="utf-8") as kept:
        head = json.loads(kept.readline())
        if head.pop("version") == INDEX_VERSION and head.pop("stamp") == stamp:
            return head, json.loads(kept.readline()) if whole else {}
    return None


def signature(path: str) -> list[str]:
    """Return what tells that a file has changed.

    Raises:
        InputError: There is no such file.
    """
    try:
        if is_local(path):
            status = os.stat(path)
            return [os.path.abspath(path), str(status.st_size), str(status.st_mtime_ns)]
        system, inner = file_system(path)
        info = system.info(inner)
    except FileNotFoundError as error:
        raise InputError(expected(path, "a tar file or a folder of images", "nothing there")) from error
    known = ("ETag", "etag", "mtime", "LastModified", "updated", "created")
    return [path, str(info.get("size")), *(str(info[name]) for name in known if name in info)]


def mark_of(path: str) -> str:
    """Return what tells that a tar file has changed, and that a copy of it has not: its size, its first and last bytes.

    Raises:
        FileNotFoundError: There is none.
    """
    system, inner = file_system(path)
    size = int(system.info(inner)["size"])
    # By name: what comes second is not the same in every file system.
    ends = system.cat_file(inner, start=0, end=min(ENDS, size)) if size else b""
    if size > ENDS:
        ends += system.cat_file(inner, start=max(ENDS, size - ENDS), end=size)
    return f"{size}-{sha256(ends).hexdigest()[:32]}"


def scan(path: str) -> Index:
    """Read a tar file's headers. What follows damage is lost, what came before it is not."""
    found: dict[str, tarfile.TarInfo] = {}
    problem = ""
    with opened(path) as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(0)
        try:
            with tarfile.open(fileobj=handle, mode="r:") as archive:
                for member in images_of(archive):
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError("unexpected end of data")
                    key = key_of(member.name)
                    # Of 7.jpg and 7.mask.png the first is the image.
                    if key not in found or (is_plain(member.name) and not is_plain(found[key].name)):
                        found[key] = member
                check_end(archive, handle)
        except (tarfile.TarError, OSError, EOFError) as error:
            handle.seek(0)
            reason = "it is compressed: unpack it" if handle.read(2) == GZIP else error
            problem = f"{path}: cannot be read to its end ({reason}). {len(found)} images before that are used."
    members = found.values()
    return Index(list(found), [m.offset_data for m in members], [m.size for m in members], problem)


def images_of(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members that are images, hidden files (a Mac's `._00012.jpg`) left out."""
    for member in archive:
        if member.isfile() and is_image(member.name) and not os.path.basename(member.name).startswith("."):
            yield member


def check_end(archive: tarfile.TarFile, handle: IO[bytes]) -> None:
    """Raise ReadError where the mark of the end is missing: `tarfile` passes over a header that is cut off."""
    members = archive.getmembers()
    handle.seek(-(-(members[-1].offset_data + members[-1].size) // 512) * 512 if members else 0)
    if handle.read(512) != bytes(512):
        raise tarfile.ReadError("no mark of its end")
    if any(handle.read(BEHIND)):
        raise tarfile.ReadError("more follows behind its end, as where tar files were joined")


def is_plain(name: str) -> bool:
    """Whether a member's name has one dot only."""
    return os.path.basename(name).count(".") == 1


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, local or not."""
    if is_local(path):
        with open(path, "rb") as local:
            yield local
    else:
        system, inner = file_system(path)
        with system.open(inner, "rb") as remote:
            yield remote


def key_of(name: str) -> str:
    """Return WebDataset's key of a member: its path up to the first dot of its name.

    Example:
        >>> key_of("./a.b/00012.seg.png")
        'a.b/00012'
    """
    folder, _, base = printable(name).removeprefix("./").rpartition("/")
    key = base.partition(".")[0]
    return f"{folder}/{key}" if folder else key
