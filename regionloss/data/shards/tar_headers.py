"""Headers of a tar file, read up to its end or to where it is damaged."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any, cast

from regionloss.data.shards.paths import is_image, printable, suffix_of
from regionloss.data.shards.plain_members import ArchivedFile, UnusualError, plain_members

GZIP = b"\x1f\x8b"
#: Bytes behind the end in which nothing but zeros is expected: more than any tar program fills up to.
BEHIND = 1 << 16
#: Most bytes of a header with a long name or other facts.
MOST_HEADER = 1 << 20


@dataclass(eq=False)
class Contents:
    """What the headers of a tar file say.

    Args:
        images: Members that are images, by path; of several members of one path the last, as for tar itself.
        others: Names of the files that are no images.
        counts: How many members are no images, by suffix.
        twice: Names of images that come again, once for each time.
        left: Names of images whose bytes do not lie in one piece: links, sparse files.
        problem: What ended the reading too early; empty where nothing did.
    """

    images: dict[str, ArchivedFile] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    problem: str = ""

    def add_file(self, member: ArchivedFile) -> None:
        """Add a file. Hidden ones (a Mac's `._00012.jpg`) are no images."""
        name, base = printable(member.name), posixpath.basename(member.name)
        if not is_shown_image(base):
            self.counts[suffix_of(base)] += 1
            self.others.append(name)
            return
        path = "/".join(part for part in name.split("/") if part not in ("", "."))
        if path in self.images:
            self.twice.append(name)
        self.images[path] = member

    def add(self, member: tarfile.TarInfo) -> None:
        """Add a member of any kind."""
        if member.isfile() and not member.issparse():
            self.add_file(ArchivedFile(member.name, member.offset_data, member.size))
        elif not member.isdir():
            name, base = printable(member.name), posixpath.basename(member.name)
            self.left += [name] * is_shown_image(base)
            self.counts[suffix_of(base) if member.isfile() else "link or device"] += 1
            self.others += [name] * member.isfile()


class Headers:
    """A tar file of which only headers are read. Damaged ones can ask neither for much memory nor for bytes outside.

    Args:
        handle: The tar file, opened to read bytes.

    Attributes:
        failure: What a disk or a network raised in the place of bytes: that says nothing of the file.
    """

    def __init__(self, handle: IO[bytes]) -> None:
        self.handle, self.size = handle, handle.seek(0, os.SEEK_END)
        self.failure: Exception | None = None
        handle.seek(0)

    def read(self, size: int) -> bytes:
        """Return the bytes of a header."""
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        try:
            return self.handle.read(size)
        except Exception as error:  # File systems raise what they like.
            self.failure = error
            raise

    def seek(self, offset: int) -> int:
        """Go to a header."""
        if not 0 <= offset <= self.size:
            raise tarfile.ReadError("unexpected end of data")
        return self.handle.seek(offset)

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self.handle.tell()


def read_contents(handle: IO[bytes]) -> Contents:
    """Read a tar file's headers. What follows damage is lost, what came before it is not.

    Raises:
        Exception: What a disk or a network raises where it fails.
    """
    found, headers = Contents(), Headers(handle)
    if (plain := read_plain(handle, headers.size)) is not None:
        return plain
    try:
        with tarfile.open(fileobj=cast(Any, headers), mode="r:") as archive:
            for member in archive:
                check(member, archive.offset, headers.size)
                found.add(member)
            check_end(archive, handle)
    except Exception as error:  # `tarfile` raises what it likes where a header is damaged.
        if headers.failure:
            raise headers.failure from None
        handle.seek(0)
        reason = error if isinstance(error, tarfile.TarError) else f"a damaged header, {type(error).__name__}"
        found.problem = "it is compressed: unpack it" if handle.read(2) == GZIP else str(reason)
    return found


def read_plain(handle: IO[bytes], size: int) -> Contents | None:
    """Return what a whole tar file of plain files holds; None where it is not one, and the handle at its beginning."""
    found = Contents()
    try:
        for member in plain_members(handle, size):
            found.add_file(member)
        if not any(handle.read(BEHIND)):
            return found
    except UnusualError:
        pass
    handle.seek(0)
    return None


def check(member: tarfile.TarInfo, following: int, size: int) -> None:
    """Raise ReadError where a member's bytes, or the header that follows them, cannot be where they are said to be."""
    if member.size < 0 or following < member.offset_data:
        raise tarfile.ReadError(f"a member of {member.size} bytes")
    if member.isfile() and not member.issparse() and member.offset_data + member.size > size:
        raise tarfile.ReadError("unexpected end of data")


def is_shown_image(base: str) -> bool:
    """Whether a file's name, without its folder, is that of an image which is not hidden."""
    return is_image(base) and not base.startswith(".")


def check_end(archive: tarfile.TarFile, handle: IO[bytes]) -> None:
    """Raise ReadError where the mark of the end is missing: `tarfile` passes over a header that is cut off."""
    handle.seek(archive.offset)
    if handle.read(512) != bytes(512):
        raise tarfile.ReadError("no mark of its end")
    if any(handle.read(BEHIND)):
        raise tarfile.ReadError("more follows behind its end, as where tar files were joined")
