"""Shards: images in a tar file (WebDataset) or in a folder, read by number without reading what lies before."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from regionloss.data.images.files import ImageError
from regionloss.data.shards.keys import normal
from regionloss.data.shards.omissions import omissions
from regionloss.data.shards.paths import (
    below,
    expand,
    file_system,
    is_folder,
    is_image,
    is_local,
    named_failures,
    names_below,
    printable,
)
from regionloss.data.shards.tar_index import Head, Index, head_of, headed, headline, index_folder, indexed
from regionloss.errors import InputError, expected

THREADS = 16
#: Told how many are done, of how many.
Tick = Callable[[int, int], None]


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

    def __len__(self) -> int:
        """How many images there are."""
        return self.head.images

    @property
    def head(self) -> Head:
        """Facts of the shard that are kept without its index."""
        return headed(self.path, self.cache) if self._index is None else head_of(self._index)

    @property
    def left(self) -> Mapping[str, list[str]]:
        """Names of members that are not used, by reason."""
        return self.index().left

    def keys(self) -> list[str]:
        """Return the key of each image, in order."""
        return self.index().keys

    def read(self, number: int) -> bytes:
        """Return an image file's contents.

        Raises:
            ImageError: The file has become shorter.
        """
        index = self.index()
        start, size = index.offsets[number], index.sizes[number]
        if is_local(self.path):
            contents = os.pread(self._descriptor(), size, start)
        else:
            system, inner = file_system(self.path)
            with named_failures(self.path):
                contents = system.cat_file(inner, start=start, end=start + size)
        if len(contents) != size:
            got = f"{len(contents)} of '{index.keys[number]}'"
            raise ImageError(expected(self.path, f"{size} bytes", got, "The file has changed since it was indexed."))
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
        self.path = path
        names, closed = below(path)
        self.left = {"closed": closed}
        self._names = [name for name in names if is_image(name)]
        self._keys = normal(list(map(printable, self._names)))
        if not self._keys:
            raise InputError(expected(path, "a folder of images, or of tar files", "a folder with neither"))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._keys)

    @property
    def head(self) -> Head:
        """Facts of the shard that are kept without its index."""
        return headline(len(self._keys), "", "", self.left)

    def keys(self) -> list[str]:
        """Return the key of each image, in order."""
        return self._keys

    def read(self, number: int) -> bytes:
        """Return an image file's contents."""
        path = f"{self.path.rstrip('/')}/{self._names[number]}"
        if is_local(path):
            return Path(path).read_bytes()
        system, inner = file_system(path)
        with named_failures(path):
            contents: bytes = system.cat_file(inner)
        return contents

    def forget(self) -> None:
        """Do nothing: a folder of images keeps no file open."""


#: Images by number.
Shard = TarShard | FolderShard
#: Applies what turns some shards into their heads to all of them.
Over = Callable[[Callable[[Sequence[Shard]], list[Head]], Sequence[Shard]], list[Head]]


def find_shards(patterns: str | list[str], cache: Path | None = None) -> list[Shard]:
    """Return the shards that patterns stand for: tar files, folders of tar files, folders of images.

    Args:
        patterns: Paths or addresses with `{00..99}` and `*`.
        cache: Folder of indices; None takes the user's cache folder.

    Raises:
        InputError: Nothing is there.
    """
    shards: list[Shard] = []
    for path in expand(patterns):
        if not is_folder(path):
            shards.append(TarShard(path, cache))
            continue
        tars = tars_below(path, (".tar",))
        shards += [TarShard(f"{path.rstrip('/')}/{name}", cache) for name in tars] or [FolderShard(path)]
    return shards


def tars_below(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the tar files below a folder as paths from there; none where it is a folder of images.

    Raises:
        InputError: It holds both: nobody knows which of them are meant.
    """
    names = names_below(folder)
    tars, images = [n for n in names if n.endswith(suffixes)], [n for n in names if is_image(n)]
    if tars and images:
        first, other = printable(tars[0]), printable(images[0])
        got = f"{len(tars)} tar files such as '{first}' and {len(images)} images such as '{other}'"
        advice = f"Say '{folder.rstrip('/')}/*.tar' for the former; give the latter a folder of their own."
        raise InputError(expected(folder, "tar files or images", got, advice))
    return tars


class ShardSet:
    """The shards of a source, counted once, however often the source is made anew.

    Args:
        shards: What images are read from, in order.
        tick: Told how many are counted here, of how many.
        over: How counting is shared: `regionloss.runs.over_ranks` for the processes of a run.

    Attributes:
        heads: What is known of each shard in short, by path.
        problems: Sentences on what is wrong with shards, and on images that are not used.

    Raises:
        InputError: A shard that is not there.
    """

    def __init__(
        self, shards: Sequence[Shard], tick: Tick = lambda done, of: None, over: Over = lambda work, items: work(items)
    ) -> None:
        self.shards = list(shards)
        heads = over(partial(heads_of, tick=tick), self.shards)
        self.lengths = [head.images for head in heads]
        self.heads = {shard.path: head for shard, head in zip(self.shards, heads, strict=True)}
        self.problems = [head.problem for head in self.heads.values() if head.problem] + omissions(self.heads)

    def stripe(self, number: int, of: int) -> ShardSet:
        """Return every so-many-th shard from one on; what is known of all shards stays known."""
        part = copy.copy(self)
        part.shards, part.lengths = self.shards[number::of], self.lengths[number::of]
        return part


def heads_of(shards: Sequence[Shard], tick: Tick) -> list[Head]:
    """Return what is known of shards in short; those whose index is not known yet are read by several threads."""
    heads: list[Head] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for head in pool.map(lambda shard: shard.head, shards):
            heads.append(head)
            tick(len(heads), len(shards))
    return heads
