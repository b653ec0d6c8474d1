"""Contents of image files -> pixels that a detector can look at, in processes that do nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import TypeVar

import numpy as np
from PIL import Image

from ..data.images import MOST_PIXELS, ORIENTATION, decoded, open_image, readable, upright_size
from ..errors import InputError

PAD_TO = 64
TINY = 8
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as a detector is shown it.

    Args:
        key: Of the image in its shard.
        size: `(width, height)` of the upright image, pixels.
        shown: `(width, height)` at which it is shown: its own size, or smaller.
        pixels: (H, W, 3) uint8, sides filled up to a multiple of 64 with what stands at the edge.
        oddities: What is unusual about the file.
    """

    key: str
    size: tuple[int, int]
    shown: tuple[int, int]
    pixels: np.ndarray
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable:
    """An image that is none, and the sentence that says why."""

    key: str
    sentence: str


def decode(key: str, contents: bytes, max_side: int, max_pixels: int = MOST_PIXELS) -> Picture | Unreadable:
    """Return an image file of at most `max_pixels` as a picture whose longest side is at most `max_side` pixels."""
    try:
        with warnings.catch_warnings():
            # Large images are shown smaller, and JPEG is decoded at the smaller size to begin with.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return picture_of(key, contents, max_side, max_pixels)
    except InputError as error:
        return Unreadable(key, str(error))
    except Exception as error:
        # A file must not stop a run of months, whatever a decoder makes of it.
        return Unreadable(key, f"{key}: cannot be read as an image ({type(error).__name__}: {error}).")


def picture_of(key: str, contents: bytes, max_side: int, max_pixels: int = MOST_PIXELS) -> Picture:
    """Decode an image; raises InputError where it is none."""
    opened = open_image(contents, key)
    with readable(key):
        oddities = tuple(oddities_of(opened))
    width, height = upright_size(opened, key)
    ratio = min(1.0, max_side / max(width, height))
    shown = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    copy = decoded(opened, key, 1 / ratio, max_pixels)
    image = copy.image
    if image.size != shown:
        image = image.resize(shown, Image.Resampling.BICUBIC, copy.box((0, 0, width, height)), reducing_gap=3.0)
    pixels = np.asarray(image)
    margins = [(0, -side % PAD_TO) for side in pixels.shape[:2]]
    return Picture(key, (width, height), shown, np.pad(pixels, [*margins, (0, 0)], "edge"), oddities)


def oddities_of(opened: Image.Image) -> Iterator[str]:
    """Yield what is unusual about an opened image file."""
    if opened.mode == "CMYK":
        yield "cmyk"
    if opened.mode.startswith(("I", "F")) or ";16" in str(getattr(opened, "tile", "")):
        yield "16-bit"
    if getattr(opened, "is_animated", False):
        yield "animated"
    if opened.getexif().get(ORIENTATION, 1) != 1:
        yield "rotated"
    if min(opened.size) < TINY:
        yield "tiny"


def decode_all(
    keys: Sequence[str], contents: Sequence[bytes], max_side: int, max_pixels: int
) -> list[Picture | Unreadable]:
    """Decode several images; runs in a decoding process."""
    return [decode(key, data, max_side, max_pixels) for key, data in zip(keys, contents, strict=True)]


class Decoders:
    """Processes that decode; they end with the one that made them, however that ends.

    Args:
        processes: How many.
        max_side: Longest side of their pictures, pixels.
        max_pixels: Most pixels of an image that is decoded.
    """

    def __init__(self, processes: int, max_side: int, max_pixels: int = MOST_PIXELS) -> None:
        self.count, self.max_side, self.max_pixels = processes, max_side, max_pixels
        self.lock = threading.Lock()
        self.pool = pool_of(processes)

    def decode(self, keys: Sequence[str], contents: Sequence[bytes]) -> list[Picture | Unreadable]:
        """Return the pictures of image files. A file that brings its process down is told from those beside it."""
        pool = self.pool
        try:
            return pool.submit(decode_all, keys, contents, self.max_side, self.max_pixels).result()
        except BrokenExecutor:
            with self.lock:
                if self.pool is pool:
                    self.pool = pool_of(self.count)
        return [self.decode_apart(key, data) for key, data in zip(keys, contents, strict=True)]

    def decode_apart(self, key: str, contents: bytes) -> Picture | Unreadable:
        """Decode one image in a process of its own."""
        with pool_of(1) as pool:
            try:
                return pool.submit(decode, key, contents, self.max_side, self.max_pixels).result()
            except BrokenExecutor:
                return Unreadable(key, f"{key}: the process that decoded it came to a sudden end. Remove the file.")

    def close(self) -> None:
        """End the processes, whatever they are at."""
        running = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()


def pool_of(processes: int) -> ProcessPoolExecutor:
    """Return processes for decoding."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(processes, mp_context=context, initializer=serve_quietly)


def serve_quietly() -> None:
    """Leave Ctrl-C to the parent, and end when it has ended, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=end_with, args=[parent], daemon=True).start()


def end_with(parent: BaseProcess) -> None:
    """End this process when another has ended."""
    parent.join()
    os._exit(1)


def ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` makes of it, in order; up to `window` of them are under way."""
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        under_way.append((item, pool.submit(work, item)))
        if len(under_way) >= window:
            first, result = under_way.popleft()
            yield first, result.result()
    while under_way:
        first, result = under_way.popleft()
        yield first, result.result()
