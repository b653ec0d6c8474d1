"""Patterns -> jobs; and a job's shard opened: on this machine, with what tells whether it has changed."""

from __future__ import annotations

import gzip
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..data.indices import GZIP, key_of, mark_of, opened
from ..data.paths import expand, file_system, is_folder, is_image, is_local, names_below, printable
from ..data.shards import FolderShard, TarShard, tars_below
from ..data.sidecars import sidecar_path
from ..errors import InputError, expected, on_disk
from .base import Job

PART = 1 << 20


@dataclass
class Source:
    """A shard that can be read from.

    Args:
        shard: Its images.
        mark: What tells that a tar file has changed; empty for a folder.
        marks: The same of each file of a folder, by key.
        others: How many files are no images, by suffix.
        hidden: Images that another of the same key hides.
        copied: The folder that holds the copy of a remote file.
    """

    shard: TarShard | FolderShard
    mark: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    copied: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Close files; remove the copy."""
        self.shard.forget()
        if self.copied is not None:
            self.copied.cleanup()


def jobs_of(patterns: Sequence[str], out: str = "") -> list[Job]:
    """Return the jobs of patterns: tar files, folders of tar files, folders of images.

    Args:
        patterns: Paths or addresses with `{00..99}` and `*`.
        out: Folder of side-cars; empty for beside the shards.

    Raises:
        InputError: Nothing is there, or two shards would have one side-car.
    """
    shards: list[str] = []
    for path in (name.removeprefix("file://") for name in expand(list(patterns))):
        if is_tar(path) or not is_folder(path):
            shards.append(path)
            continue
        shards += [posixpath.join(path, name) for name in tars_below(path, (".tar", ".tar.gz", ".tgz"))] or [path]
    for path in shards:
        if is_image(path):
            advice = "Give its folder, or use 'regionloss detect'."
            raise InputError(expected(path, "a tar file or a folder of images", "one image", advice))
    jobs: dict[str, Job] = {}
    for shard in dict.fromkeys(shards):
        job = Job(shard, sidecar_path(out.removeprefix("file://"), shard))
        if job.target in jobs:
            got = f"'{jobs[job.target].shard}' and '{shard}'"
            advice = "Annotate them in two runs, each with its own --out."
            raise InputError(expected(job.target, "the side-car of one shard", got, advice))
        jobs[job.target] = job
    return list(jobs.values())


def is_folder_shard(path: str) -> bool:
    """Whether a shard is a folder of images."""
    return not is_tar(path) and is_folder(path)


def is_tar(path: str) -> bool:
    """Whether a name says that it is a tar file."""
    return path.endswith((".tar", ".tar.gz", ".tgz"))


def marks_of(folder: str) -> dict[str, str]:
    """Return what tells that a file has changed, by key, of the images below a folder."""
    names = [name for name in names_below(folder) if is_image(name)]
    if is_local(folder):
        stats = {printable(name): status(os.path.join(folder, name)) for name in names}
        return {key: f"{found.st_size}-{found.st_mtime_ns}" for key, found in stats.items()}
    system, inner = file_system(folder)
    found = {name[len(inner.rstrip("/")) + 1 :]: facts for name, facts in system.find(inner, detail=True).items()}
    known = ("ETag", "etag", "mtime", "LastModified", "updated", "created")
    return {
        printable(name): "-".join(
            str(found[name][fact]) for fact in ("size", *known) if found[name].get(fact) is not None
        )
        for name in names
    }


def status(path: str) -> os.stat_result:
    """Return what is known of a file; of a link to nothing, what is known of the link: it is named when it is read."""
    try:
        return os.stat(path)
    except OSError:
        return os.lstat(path)


def place_of(path: str) -> str:
    """Return a shard's path or address as it is from everywhere."""
    return os.path.abspath(path) if is_local(path) else path


def open_source(path: str) -> Source:
    """Open a shard; a remote tar file is copied to this machine once.

    Raises:
        FileNotFoundError: There is none.
        InputError: A folder without images, or what needs a package that is missing.
    """
    if is_folder_shard(path):
        others = Counter(suffix_of(name) for name in names_below(path) if not is_image(name))
        return Source(FolderShard(path), marks=marks_of(path), others=dict(sorted(others.items())))
    mark = mark_of(path)
    if is_local(path) and path.endswith(".tar"):
        return counted(Source(TarShard(path), mark))
    copied = tempfile.TemporaryDirectory(prefix="regionloss-")
    local = os.path.join(copied.name, "shard.tar")
    try:
        copy(path, local)
        return counted(Source(TarShard(local, Path(copied.name)), mark, copied=copied))
    except BaseException:
        copied.cleanup()
        raise


def copy(path: str, local: str) -> None:
    """Copy a tar file to this machine, unpacked; of one that is damaged, what comes before the damage."""
    with on_disk(local):
        if not is_local(path):
            system, inner = file_system(path)
            system.get_file(inner, f"{local}.packed")
            path = f"{local}.packed"
        with open(path, "rb") as there, open(local, "wb") as here:
            packed = there.read(2) == GZIP
            there.seek(0)
            contents = gzip.GzipFile(fileobj=there) if packed else there
            with suppress(EOFError, zlib.error, gzip.BadGzipFile):
                while part := contents.read1(PART):
                    here.write(part)


def suffix_of(name: str) -> str:
    """Return a file's suffix; its name where it has none."""
    base = printable(os.path.basename(name))
    return os.path.splitext(base)[1] or base


def counted(source: Source) -> Source:
    """Count what a tar file holds beside its images, and open it."""
    others: Counter[str] = Counter()
    images: Counter[str] = Counter()
    problems = (tarfile.TarError, OSError, EOFError)  # what cuts the reading short is the shard's `problem`
    with suppress(*problems), opened(source.shard.path) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
        for member in archive:
            base = os.path.basename(member.name)
            if member.isfile() and is_image(base) and not base.startswith("."):
                images[key_of(member.name)] += 1
            elif not member.isdir():
                others[suffix_of(base) if member.isfile() else "link or device"] += 1
    source.others = dict(sorted(others.items()))
    source.hidden = sorted(key for key, times in images.items() if times > 1)
    if source.shard.keys():
        with suppress(InputError, OSError):
            source.shard.read(0)  # Opened here, since several threads will read at once.
    return source
