"""Where the images of a tar file lie: found out once, and kept in the user's cache folder."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from regionloss.data.shards.addresses import unsigned
from regionloss.data.shards.keys import FIRST, is_plain, key_of, normal, rule_of
from regionloss.data.shards.paths import file_system, is_local, named_failures, printable
from regionloss.data.shards.tar_headers import read_contents
from regionloss.disk import home, whole
from regionloss.errors import InputError, expected, reason_of

INDEX_VERSION = 4
#: Bytes of a file's beginning and end that its mark is made of.
ENDS = 1 << 16
#: How many names a head has of what is not used.
FEW = 3


@dataclass(frozen=True)
class Index:
    """What a tar file holds: keys, and where each image's bytes lie.

    Args:
        keys: Key of each image: the member's path up to a dot of its name.
        offsets: Position of each image's first byte in the tar file.
        sizes: Size of each image's file, in bytes.
        problem: What ended the reading too early; empty where nothing did.
        rule: Up to which dot (see `rule_of`).
        others: How many members are no images, by suffix.
        left: Names of members that are not used, by reason (see `omissions`).
    """

    keys: list[str]
    offsets: list[int]
    sizes: list[int]
    problem: str = ""
    rule: str = FIRST
    others: dict[str, int] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)


def index_folder() -> Path:
    """Return the folder of indices, which may not exist yet."""
    return home() / "indices"


@dataclass(frozen=True)
class Head:
    """What is known of a shard without reading its index.

    Args:
        images: How many images the shard holds.
        problem: What is wrong with the shard; empty where nothing is.
        rule: Up to which dot of a name keys reach; empty for a folder, where they are whole names.
        counts: How many images are not used, by reason.
        first: Names of the first of them.
    """

    images: int
    problem: str = ""
    rule: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)


def headed(path: str, cache: Path) -> Head:
    """Return how many images a tar file has; the first time, this reads its headers."""
    if (kept := from_cache(path, cache, whole=False)) is not None:
        return Head(**kept[0])
    return head_of(indexed(path, cache))


def indexed(path: str, cache: Path) -> Index:
    """Return the index of a tar file, from the cache where it is of this very file."""
    if (kept := from_cache(path, cache, whole=True)) is not None:
        return Index(**kept[1])
    index = scan(path)
    first, body = {"version": INDEX_VERSION, "stamp": signature(path), **asdict(head_of(index))}, asdict(index)
    # A folder that cannot be written to costs time, no more.
    with suppress(OSError), whole(place(path, cache)) as temporary:
        temporary.write_text(f"{json.dumps(first)}\n{json.dumps(body)}\n", encoding="utf-8")
    return index


def head_of(index: Index) -> Head:
    """Return what an index says in short."""
    return headline(len(index.keys), index.problem, index.rule, index.left)


def headline(images: int, problem: str, rule: str, left: Mapping[str, list[str]]) -> Head:
    """Return a head that names the first of what is not used."""
    some = {reason: names for reason, names in left.items() if names}
    counts, first = {r: len(names) for r, names in some.items()}, {r: names[:FEW] for r, names in some.items()}
    return Head(images, problem, rule, counts, first)


def place(path: str, cache: Path) -> Path:
    """Return where the index of a file is kept."""
    name = os.path.abspath(path) if is_local(path) else unsigned(path)
    return cache / f"{sha256(name.encode()).hexdigest()[:32]}.jsonl"


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
        InputError: There is no such file, or it cannot be asked for.
    """
    try:
        if is_local(path):
            status = os.stat(path)
            return [os.path.abspath(path), str(status.st_size), str(status.st_mtime_ns)]
        system, inner = file_system(path)
        with named_failures(path):
            info = system.info(inner)
    except FileNotFoundError as error:
        raise InputError(expected(path, "a tar file or a folder of images", "nothing there")) from error
    known = ("ETag", "etag", "mtime", "LastModified", "updated", "created")
    return [unsigned(path), str(info.get("size")), *(str(info[name]) for name in known if name in info)]


def mark_of(path: str) -> str:
    """Return what tells that a tar file has changed, and that a copy of it has not: its size, its first and last bytes.

    Raises:
        FileNotFoundError: There is none.
    """
    system, inner = file_system(path)
    with named_failures(path):
        if (size := system.info(inner)["size"]) is None:
            raise InputError(expected(unsigned(path), "a server that says how long a file is", "one that does not"))
        # By name: what comes second is not the same in every file system.
        ends = system.cat_file(inner, start=0, end=min(ENDS, size)) if size else b""
        if size > ENDS:
            ends += system.cat_file(inner, start=max(ENDS, size - ENDS), end=size)
    return f"{size}-{sha256(ends).hexdigest()[:32]}"


def scan(path: str) -> Index:
    """Read a tar file's headers, and choose the image of each key: the first of plain name, or the first.

    Raises:
        InputError: A disk or a network that fails; nothing is kept of the file then.
    """
    try:
        with opened(path) as handle:
            found = read_contents(handle)
    except FileNotFoundError:
        raise
    except OSError as error:
        got = f"an error ({reason_of(error)})"
        raise InputError(expected(path, "a file that can be read", got, "The file may be whole: try again.")) from error
    names = {printable(member.name): member for member in found.images.values()}
    rule = rule_of(names, found.others)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key_of(name, rule)].append(name)
    chosen = {key: next(filter(is_plain, group), group[0]) for key, group in groups.items()}
    problem = ""
    if found.problem:
        problem = f"{path}: cannot be read to its end ({found.problem}). {len(chosen)} images before that are used."
    members = [names[name] for name in chosen.values()]
    hidden = [name for key, group in groups.items() for name in group if name != chosen[key]]
    left = {"hidden": hidden, "twice": found.twice, "left out": found.left}
    keys, offsets, sizes = normal(list(chosen)), [m.start for m in members], [m.size for m in members]
    return Index(keys, offsets, sizes, problem, rule, dict(sorted(found.counts.items())), left)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, local or not."""
    if is_local(path):
        with open(path, "rb") as local:
            yield local
    else:
        system, inner = file_system(path)
        with named_failures(path), system.open(inner, "rb") as remote:
            yield remote
