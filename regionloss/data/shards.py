"""Shards: images in a tar file (WebDataset) or in a folder, read by number without reading what lies before."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Protocol

from ..errors import InputError, expected
from .paths import expand, file_system, is_folder, is_image, is_local, names_below

INDEX_VERSION = 1


class Shard(Protocol):
    """Images by number."""

    path: str

    @property
    def problem(self) -> str:
        """What is wrong with it; empty where nothing is."""
        ...

    def keys(self) -> list[str]:
        """Return the key of each image, in order."""
        ...

    def read(self, number: int) -> bytes:
        """Return an image file's contents."""
        ...

    def forget(self) -> None:
        """Close what is open; it opens again when it is read from."""
        ...


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


class TarShard:
    """A tar file of images. Where they lie is found out once and kept in the user's cache folder.

    Args:
        path: Local, or an address that fsspec opens.
        cache: Folder of indices; None takes the user's cache folder.

    Raises:
        InputError: There is no such file.
    """

    def __init__(self, path: str, cache: Path | None = None) -> None:
        self.path, self.cache = path, cache or index_folder()
        self._index: Index | None = None
        self._open: tuple[int, int] | None = None

    def index(self) -> Index:
        """Return where the images lie."""
        if self._index is None:
            self._index = indexed(self.path, self.cache)
        return self._index

    @property
    def problem(self) -> str:
        """What ended the reading of the file too early; empty where nothing did."""
        return self.index().problem

    def keys(self) -> list[str]:
        """Return the key of each image, in order."""
        return self.index().keys

    def read(self, number: int) -> bytes:
        """Return an image file's contents.

        Raises:
            InputError: The file has become shorter.
        """
        index = self.index()
        start, size = index.offsets[number], index.sizes[number]
        if is_local(self.path):
            contents = os.pread(self._descriptor(), size, start)
        else:
            system, inner = file_system(self.path)
            contents = system.cat_file(inner, start=start, end=start + size)
        if len(contents) != size:
            got = f"{len(contents)} of '{index.keys[number]}'"
            raise InputError(expected(self.path, f"{size} bytes", got, "The file has changed since it was indexed."))
        return contents

    def forget(self) -> None:
        """Close the file and drop the index from memory."""
        if self._open is not None and self._open[0] == os.getpid():
            os.close(self._open[1])
        self._open = None
        self._index = None

    def _descriptor(self) -> int:
        # A process that was forked opens its own: offsets are shared otherwise, and closing is anyone's.
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), os.open(self.path, os.O_RDONLY))
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None, "_index": None}


class FolderShard:
    """The image files below a folder; an image's key is its path from there.

    Args:
        path: Local, or an address that fsspec opens.

    Raises:
        InputError: No images in it.
    """

    def __init__(self, path: str) -> None:
        self.path, self.problem = path, ""
        self._keys = [name for name in names_below(path) if is_image(name)]
        if not self._keys:
            raise InputError(expected(path, "a folder of images, or of tar files", "a folder with neither"))

    def keys(self) -> list[str]:
        """Return the key of each image, in order."""
        return self._keys

    def read(self, number: int) -> bytes:
        """Return an image file's contents."""
        path = f"{self.path.rstrip('/')}/{self._keys[number]}"
        if is_local(path):
            return Path(path).read_bytes()
        system, inner = file_system(path)
        contents: bytes = system.cat_file(inner)
        return contents

    def forget(self) -> None:
        """Keep everything: nothing is open."""


def find_shards(patterns: str | list[str], cache: Path | None = None) -> list[TarShard | FolderShard]:
    """Return the shards that patterns stand for: tar files, folders of tar files, folders of images.

    Args:
        patterns: Paths or addresses with `{00..99}` and `*`.
        cache: Folder of indices; None takes the user's cache folder.

    Raises:
        InputError: Nothing is there.
    """
    shards: list[TarShard | FolderShard] = []
    for path in expand(patterns):
        if not is_folder(path):
            shards.append(TarShard(path, cache))
            continue
        tars = [name for name in names_below(path) if name.endswith(".tar")]
        shards += [TarShard(f"{path.rstrip('/')}/{name}", cache) for name in tars] or [FolderShard(path)]
    return shards


def index_folder() -> Path:
    """Return the folder of indices: below `REGIONLOSS_HOME`, or in the user's cache folder."""
    import platformdirs

    chosen = os.environ.get("REGIONLOSS_HOME")
    home = Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("regionloss", appauthor=False))
    return home / "indices"


def indexed(path: str, cache: Path) -> Index:
    """Return the index of a tar file, from the cache where it is of this very file."""
    stamp, kept = signature(path), cache / f"{sha256(path.encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found.pop("version") == INDEX_VERSION and found.pop("stamp") == stamp:
            return Index(**found)
    index = scan(path)
    with suppress(OSError):  # A folder that cannot be written to costs time, no more.
        cache.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{os.getpid()}.tmp")
        record = {"version": INDEX_VERSION, "stamp": stamp, **asdict(index)}
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(kept)
    return index


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
            problem = f"{path}: cannot be read to its end ({error}). {len(found)} images before that are used."
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
    folder, _, base = name.removeprefix("./").rpartition("/")
    key = base.partition(".")[0]
    return f"{folder}/{key}" if folder else key
