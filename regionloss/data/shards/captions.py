"""What is said of the images of a shard: files of text beside them."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator

from regionloss.data.shards.keys import key_of, nfc
from regionloss.data.shards.paths import file_system, names_below, printable
from regionloss.data.shards.shards import FolderShard
from regionloss.data.shards.source import OpenShard

#: Files of captions by suffix; img2dataset writes both, and the first counts.
SUFFIXES = (".txt", ".json")


def captions_of(source: OpenShard) -> dict[str, str]:
    """Return the captions of an opened shard by the keys of its images; images without one are not named.

    A caption is what `KEY.txt` holds, or `caption` in `KEY.json`, as img2dataset writes them.
    """
    shard, keys = source.shard, source.shard.keys()
    if isinstance(shard, FolderShard):
        found = by_key(of_folder(shard.path), lambda name: os.path.splitext(name)[0])
        return {key: found[stem] for key in keys if (stem := os.path.splitext(key)[0]) in found}
    found = by_key(of_tar(shard.path), lambda name: key_of(name, shard.head.rule))
    return {key: found[nfc(key)] for key in keys if nfc(key) in found}


def by_key(files: Iterable[tuple[str, bytes]], key: Callable[[str], str]) -> dict[str, str]:
    """Return the captions that files hold, by key; where there are two, that of the first suffix."""
    found: dict[tuple[str, str], str] = {}
    for name, contents in files:
        suffix = os.path.splitext(name)[1].lower()
        if (said := caption_in(contents, suffix)) is not None:
            found[suffix, nfc(key(printable(name)))] = said
    return {key: said for suffix in reversed(SUFFIXES) for (own, key), said in found.items() if own == suffix}


def caption_in(contents: bytes, suffix: str) -> str | None:
    """Return the caption in a file; None where it holds none."""
    text = contents.decode("utf-8", "replace").strip()
    if suffix == ".json":
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            return None
        said = told.get("caption") if isinstance(told, dict) else None
        text = said.strip() if isinstance(said, str) else ""
    return text or None


def of_folder(folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the files of captions below a folder."""
    system, inner = file_system(folder)
    for name in names_below(folder):
        if name.lower().endswith(SUFFIXES):
            yield name, system.cat_file(f"{inner.rstrip('/')}/{name}")


def of_tar(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the files of captions in a tar file of this machine; of a damaged one, the first."""
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.name.lower().endswith(SUFFIXES) and (held := archive.extractfile(member)) is not None:
                    yield member.name, held.read()
    except (tarfile.TarError, EOFError):
        return
