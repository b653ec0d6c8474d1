"""Paths and addresses of images: brace expansion, wildcards, any file system that fsspec knows."""

from __future__ import annotations

import errno
import glob
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from typing import Any

from regionloss.data.images.files import SUFFIXES
from regionloss.data.shards.addresses import address, unsigned, whole
from regionloss.errors import InputError, expected

RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
#: What opens a tar file that lies in another one.
ARCHIVE = re.compile(r"(tar|zip|libarchive|dir)://")
MOST_NAMES = 1_000_000


def expand(patterns: str | Iterable[str]) -> list[str]:
    """Return the paths that patterns stand for: `{00000..00099}` and `{a,b}` are spelled out, `*` is looked up.

    Args:
        patterns: One or more, local or with a protocol (`s3://...`, `memory://...`).

    Returns:
        Paths in the order of the patterns; what a wildcard finds is sorted. A name without wildcard may not exist.
        Addresses are without their queries, and are opened with them.

    Raises:
        InputError: A wildcard that finds nothing, or braces that make no sense or stand for too many names.

    Example:
        >>> expand("shard-{08..10}.tar")
        ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    given = [os.path.expanduser(p) for p in ([patterns] if isinstance(patterns, str) else patterns)]
    named = [address(name.removeprefix("file://")) for pattern in given for name in spelled_out(pattern)]
    return list(chain.from_iterable([name] if is_name(name) else found(name) for name in named))


def spelled_out(pattern: str) -> list[str]:
    """Return a pattern's names with all braces spelled out, of which there are not too many."""
    shown = unsigned(pattern)
    if any(is_tar(unsigned(part)) and not ARCHIVE.match(part) for part in pattern.split("::")[:-1]):
        advice = "Give each as one of several: two words on the command line, a list [..., ...] in a recipe."
        raise InputError(expected(f"'{shown}'", "one pattern", "several joined with '::'", advice))
    try:
        number = names_in(pattern, shown)
    except RecursionError:
        number = 0
    if not 0 < number <= MOST_NAMES:
        advice = "Give several patterns, a folder or a wildcard."
        raise InputError(expected(f"'{shown}'", f"{MOST_NAMES:,} names at most", "more", advice))
    return list(spelled(pattern, shown))


def names_in(pattern: str, shown: str) -> int:
    """Return how many names a pattern stands for, of which none is spelled out."""
    return math.prod(
        len(options)
        if (options := choices(shown, inner)) and RANGE.fullmatch(inner)
        else sum(names_in(option, shown) for option in options)
        for inner in pieces(pattern)[1::2]
    )


def spelled(pattern: str, shown: str) -> Iterator[str]:
    """Yield a pattern's names with all braces spelled out, as a shell does it."""
    parts = [
        [name for option in choices(shown, piece) for name in spelled(option, shown)] if n % 2 else [piece]
        for n, piece in enumerate(pieces(pattern))
    ]
    yield from map("".join, product(*parts))


def pieces(pattern: str) -> list[str]:
    """Return what stands between the outermost pairs of braces, and within, in turn."""
    opened, pairs = list[int](), dict[int, int]()
    for sign in re.finditer("[{}]", pattern):
        if sign[0] == "{":
            opened.append(sign.start())
        elif opened:
            pairs[opened.pop()] = sign.start()
    found, end = list[str](), 0
    for start, close in sorted(pairs.items()):
        if start >= end:
            found += [pattern[end:start], pattern[start + 1 : close]]
            end = close + 1
    return [*found, pattern[end:]]


def choices(pattern: str, inner: str) -> Sequence[str]:
    """Return what the inside of braces stands for; a choice may hold braces of its own."""
    if numbers := RANGE.fullmatch(inner):
        low, high = numbers.groups()
        width = max(len(low), len(high)) if low.startswith("0") or high.startswith("0") else 0
        first, last = int(low), int(high)
        if 0 <= last - first < MOST_NAMES:
            return [str(number).zfill(width) for number in range(first, last + 1)]
        wanted = f"a range such as {{00000..00099}}, of {MOST_NAMES:,} at most"
    else:
        around = [f"{{{piece}}}" if n % 2 else piece.replace(",", "\0") for n, piece in enumerate(pieces(inner))]
        if len(options := "".join(around).split("\0")) > 1:
            return options
        wanted = "a range {00000..00099} or a list {a,b}"
    raise InputError(expected(f"'{pattern}'", wanted, f"{{{inner}}}"))


def is_name(pattern: str) -> bool:
    """Whether a pattern holds no wildcard, or is the name of something that is there, `photos [2020]`."""
    return not glob.has_magic(unsigned(pattern)) or (is_local(pattern) and os.path.lexists(pattern))


def found(pattern: str) -> list[str]:
    """Return what a wildcard finds, sorted."""
    outer, chained, inner = pattern.partition("::")
    if is_local(pattern):
        names = sorted(glob.glob(pattern, recursive=True))
    elif chained and "://" not in outer:
        # A layer without a path of its own, such as simplecache: what it holds is found below it.
        names = [f"{outer}::{name}" for name in found(inner)]
    else:
        system, path = file_system(pattern)
        names = sorted(f"{system.unstrip_protocol(name)}{chained}{inner}" for name in system.glob(path))
    if not names:
        raise InputError(
            expected(f"'{unsigned(pattern)}'", "files", "none", "Check the path, and quote it from the shell.")
        )
    return names


def is_local(path: str) -> bool:
    """Whether a path needs no file system of fsspec."""
    return "://" not in path and "::" not in path


def file_system(path: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        InputError: fsspec is missing, or what it needs for the protocol is.
    """
    try:
        import fsspec

        return fsspec.core.url_to_fs(whole(path))  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        others = "s3fs for s3, gcsfs for gs, aiohttp and requests for http"
        advice = f"Install what the address needs: pip install 'regionloss[data]', and {others}."
        got = unsigned(str(error))
        raise InputError(expected(f"'{unsigned(path)}'", "an address that can be opened", got, advice)) from error


@contextmanager
def named_failures(path: str) -> Iterator[None]:
    """Turn what file systems raise at an address, which may be anything, into a sentence without its query."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), unsigned(path)) from error
    except Exception as error:
        if is_local(path):
            raise
        got = f"{type(error).__name__}: {unsigned(str(error)).rstrip('.')}"
        raise InputError(expected(unsigned(path), "an address that can be read", got)) from error


def is_tar(path: str) -> bool:
    """Whether a name says that it is a tar file."""
    return path.endswith((".tar", ".tar.gz", ".tgz"))


def is_folder(path: str) -> bool:
    """Whether a path is a folder; of an address that names a tar file nobody is asked."""
    if is_local(path):
        return os.path.isdir(path)
    if is_tar(unsigned(path)):
        return False
    system, inner = file_system(path)
    return bool(system.isdir(inner))


def exists(path: str) -> bool:
    """Whether there is something at a path."""
    if is_local(path):
        return os.path.exists(path)
    system, inner = file_system(path)
    return bool(system.exists(inner))


def names_below(folder: str) -> list[str]:
    """Return the files below a folder as paths from there, sorted; hidden ones are left out."""
    return below(folder)[0]


def below(folder: str) -> tuple[list[str], list[str]]:
    """Return the files below a folder as paths from there, and the folders that are not looked through; both sorted.

    Links to folders are followed, each folder is looked through once: under its own name, if it has one there. What is
    hidden is left out.
    """
    if not is_local(folder):
        system, inner = file_system(folder)
        names = [name[len(inner.rstrip("/")) + 1 :] for name in system.find(inner)]
        return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/"))), []
    files, closed, seen, links = list[str](), list[str](), set[str](), [folder]
    while links:
        for at, inside, names in os.walk(links.pop(0), onerror=lambda error: closed.append(str(error.filename))):
            if (real := os.path.realpath(at)) in seen or (seen and leads_up(at, folder)):
                closed.append(at)
                inside.clear()
                continue
            seen.add(real)
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            links += [path for name in inside if os.path.islink(path := os.path.join(at, name))]
            files += [os.path.join(at, name) for name in names if not name.startswith(".")]
    files, closed = (
        [os.path.relpath(path, folder).replace(os.sep, "/") for path in found] for found in (files, closed)
    )
    return sorted(files), sorted(closed)


def leads_up(link: str, folder: str) -> bool:
    """Whether a link leads to what it lies in itself, or to what a folder lies in."""
    target = Path(os.path.realpath(link))
    return any(Path(os.path.realpath(path)).is_relative_to(target) for path in (os.path.dirname(link), folder))


def printable(name: str) -> str:
    r"""Return a file's name as text that any format holds: bytes that are not UTF-8 are spelled out.

    Example:
        >>> printable("caf\udce9")
        'caf\\xe9'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def suffix_of(name: str) -> str:
    """Return a file's suffix; its name where it has none."""
    base = printable(os.path.basename(name))
    return os.path.splitext(base)[1] or base


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def list_images(folder: Path) -> list[Path]:
    """Return the image files below a folder, hidden ones left out, in a fixed order; links to folders are followed.

    Raises:
        InputError: Not a folder, or no image file in it.
    """
    if not folder.is_dir():
        raise InputError(expected("images", "a folder of images", f"'{folder}', which is none"))
    paths = sorted(path for name in names_below(str(folder)) if is_image(name) and (path := folder / name).is_file())
    if not paths:
        raise InputError(expected(f"images ('{folder}')", f"files such as {', '.join(sorted(SUFFIXES))}", "none"))
    return paths
