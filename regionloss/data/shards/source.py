"""A shard opened: on this machine, with what tells whether it has changed."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from regionloss.data.shards.addresses import address
from regionloss.data.shards.keys import normal
from regionloss.data.shards.paths import (
    file_system,
    is_folder,
    is_image,
    is_local,
    is_tar,
    named_failures,
    names_below,
    printable,
    suffix_of,
)
from regionloss.data.shards.shards import FolderShard, Shard, TarShard
from regionloss.data.shards.tar_headers import GZIP
from regionloss.data.shards.tar_index import mark_of
from regionloss.disk import to_disk
from regionloss.errors import InputError

PART = 1 << 20


@dataclass
class OpenShard:
    """A shard that can be read from.

    Args:
        shard: The shard, with its images.
        mark: What tells that a tar file has changed; empty for a folder.
        marks: The same of each file of a folder, by key.
        others: How many files are no images, by suffix.
        copied: The folder that holds the copy of a remote file.
    """

    shard: Shard
    mark: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    copied: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Close files; remove the copy."""
        self.shard.forget()
        if self.copied is not None:
            self.copied.cleanup()


def is_folder_shard(path: str) -> bool:
    """Whether a shard is a folder of images."""
    return not is_tar(path) and is_folder(path)


def marks_of(folder: str, wanted: Callable[[str], bool] = is_image) -> dict[str, str]:
    """Return what tells that a file has changed, by key, of the images below a folder, or of other files."""
    names = [name for name in names_below(folder) if wanted(name)]
    if is_local(folder):
        marks = [mark_of_file(os.path.join(folder, name)) for name in names]
    else:
        system, inner = file_system(folder)
        listed = system.find(inner, detail=True).items()
        found = {name[len(inner.rstrip("/")) + 1 :]: facts for name, facts in listed}
        known = ("size", "ETag", "etag", "mtime", "LastModified", "updated", "created")
        marks = ["-".join(str(found[n][fact]) for fact in known if found[n].get(fact) is not None) for n in names]
    return dict(zip(normal(list(map(printable, names))), marks, strict=True))


def mark_of_shard(path: str) -> str:
    """Return what tells that a shard, a tar file or a folder with all its files, has changed.

    Raises:
        FileNotFoundError: There is none.
    """
    if is_folder_shard(path):
        return sha256(json.dumps(marks_of(path, lambda name: True), sort_keys=True).encode()).hexdigest()[:32]
    return mark_of(path)


def mark_of_file(path: str) -> str:
    """Return a file's size and last change; of a link to nothing, those of the link: it is named when it is read."""
    try:
        status = os.stat(path)
    except OSError:
        status = os.lstat(path)
    return f"{status.st_size}-{status.st_mtime_ns}"


def place_of(path: str) -> str:
    """Return a shard's path or address as it is from everywhere."""
    return os.path.abspath(path) if is_local(path) else address(path)


def open_source(path: str) -> OpenShard:
    """Open a shard; a remote tar file is copied to this machine once.

    Raises:
        FileNotFoundError: There is none.
        InputError: A folder without images, or what needs a package that is missing.
    """
    path = address(path)
    if is_folder_shard(path):
        others = Counter(suffix_of(name) for name in names_below(path) if not is_image(name))
        return OpenShard(FolderShard(path), marks=marks_of(path), others=dict(sorted(others.items())))
    mark = mark_of(path)
    if is_local(path) and path.endswith(".tar"):
        return of_tar(TarShard(path), mark)
    copied = tempfile.TemporaryDirectory(prefix="regionloss-")
    local = os.path.join(copied.name, "shard.tar")
    try:
        copy(path, local)
        return of_tar(TarShard(local, Path(copied.name)), mark, copied)
    except BaseException:
        copied.cleanup()
        raise


def copy(path: str, local: str) -> None:
    """Copy a tar file to this machine, unpacked; of one that is damaged, what comes before the damage."""
    with to_disk(Path(local)):
        if not is_local(path):
            system, inner = file_system(path)
            with named_failures(path):
                system.get_file(inner, f"{local}.packed")
            path = f"{local}.packed"
        with open(path, "rb") as there, open(local, "wb") as here:
            packed = there.read(2) == GZIP
            there.seek(0)
            contents = gzip.GzipFile(fileobj=there) if packed else there
            with suppress(EOFError, zlib.error, gzip.BadGzipFile):
                while part := contents.read1(PART):
                    here.write(part)


def of_tar(shard: TarShard, mark: str, copied: tempfile.TemporaryDirectory[str] | None = None) -> OpenShard:
    """Open a tar file of images on this machine."""
    if shard.keys():
        with suppress(InputError, OSError):
            shard.read(0)  # Opened here, since several threads will read at once.
    return OpenShard(shard, mark, others=shard.index().others, copied=copied)
