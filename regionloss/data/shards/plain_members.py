"""Members of a tar file that holds plain files alone, read three times as quickly as `tarfile` reads any."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple
from zlib import adler32

BLOCK = tarfile.BLOCKSIZE
#: Kinds of headers: files, folders, and what says more of the header that follows.
FILES, FOLDERS, FACTS, LONG_NAME = (tarfile.AREGTYPE, tarfile.REGTYPE), tarfile.DIRTYPE, tarfile.XHDTYPE, b"L"
#: Facts of a file that change neither its name nor where its bytes are.
IDLE = {b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname", b"comment"}
#: The numbers of a header: mode, owner, group, size, time, sum, and those of a device. All octal, filled with zeros.
SHORT, LONG = rb"(?:[0-7]{7}[ \0]|[0-7]{6}[ \0]{2})", rb"[0-7]{11}[ \0]"
NUMBERS = re.compile(SHORT * 3 + rb"(%s)%s(%s)" % (LONG, LONG, SHORT) + rb".{173}(?:%s|\0{8}){2}" % SHORT, re.DOTALL)
#: Most bytes of facts; what has more is left to `tarfile`.
MOST_FACTS = 1 << 16


class UnusualError(ValueError):
    """A header that is damaged, or of a kind that is not read here: `tarfile` knows."""


class ArchivedFile(NamedTuple):
    """A file in a tar file.

    Args:
        name: Path of the file; bytes that are not UTF-8 are kept as `tarfile` keeps them.
        start: Position of the first byte.
        size: Size in bytes.
    """

    name: str
    start: int
    size: int


def plain_members(handle: IO[bytes], end: int) -> Iterator[ArchivedFile]:
    """Yield the files of a tar file up to the mark of its end; folders are passed over.

    Args:
        handle: The tar file, opened to read bytes, at its beginning.
        end: Size of the tar file in bytes.

    Raises:
        UnusualError: A header that is no file's and no folder's, or damage; also where the tar file is cut off.
    """
    at, facts = 0, None
    while any(header := handle.read(BLOCK)):
        if (numbers := NUMBERS.match(header, 100)) is None or checksum(header) != int(numbers[2].strip(b"\0 "), 8):
            raise UnusualError
        kind, own, start = header[156:157], int(numbers[1][:-1], 8), at + BLOCK
        if kind in (FACTS, LONG_NAME):
            if facts is not None or own > MOST_FACTS:
                raise UnusualError
            contents = handle.read(own)
            facts = facts_of(contents) if kind == FACTS else (text(contents), None)
        elif kind in FILES:
            name, size = facts or ("", None)
            own = own if size is None else size
            member = ArchivedFile(name or name_of(header), start, own)
            if member.name.endswith("/") or start + own > end:
                raise UnusualError
            yield member
            facts = None
        elif kind == FOLDERS:
            facts, own = None, 0
        else:
            raise UnusualError
        at = start + -(-own // BLOCK) * BLOCK
        handle.seek(at)
    if len(header) != BLOCK:
        raise UnusualError


def checksum(header: bytes) -> int:
    """Return the sum of a header's bytes, in which the sum that it names counts as eight spaces."""
    # The low half of an Adler sum that begins at 0 is the plain one, as long as it stays below 65,521.
    parts = header[:148], header[156:400], header[400:]
    return 8 * 32 + sum(adler32(part, 0) & 0xFFFF for part in parts)


def text(field: bytes) -> str:
    """Return a text of a header, which a zero byte ends."""
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def name_of(header: bytes) -> str:
    """Return the path in a header, in one piece or in two."""
    first, last = text(header[345:500]), text(header[:100])
    return f"{first}/{last}" if first else last


def facts_of(contents: bytes) -> tuple[str, int | None]:
    """Return the path and the size that records of the pax format name: empty and None where they do not."""
    name, size = "", None
    while contents:
        length = contents.partition(b" ")[0]
        if not length.isdigit() or len(length) > 5 or not contents[int(length) - 1 : int(length)] == b"\n":
            raise UnusualError
        record, contents = contents[len(length) + 1 : int(length) - 1], contents[int(length) :]
        key, _, value = record.partition(b"=")
        if key == b"path" and value and b"\0" not in value:
            name = decoded(value).rstrip("/")
        elif key == b"size" and value.isdigit() and len(value) < 16:
            size = int(value)
        elif key not in IDLE:
            raise UnusualError
    return name, size


def decoded(value: bytes) -> str:
    """Return a path of the pax format, which is UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnusualError from None
