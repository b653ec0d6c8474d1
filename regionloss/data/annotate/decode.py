"""Contents of image files -> pixels that a detector can look at, in processes that do nothing else."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

import numpy as np
from PIL import Image

from regionloss.compat.processes import workers_of
from regionloss.data.images.files import MOST_PIXELS, ORIENTATION, decoded, open_image, readable, upright_size
from regionloss.errors import InputError, LostProcessError, expected

PAD_TO, TINY = 64, 8
#: Held where a process is started or waited for: either asks how others ended, and an answer is given once.
ASKING = threading.Lock()
DECODING, LIVING = "decoding", "processes that live"
ADVICE = (
    "What it wrote stands above. This machine lacks something: memory, room in /dev/shm, processes (ulimit -u), a "
    "package, or in the script that begins this the line if __name__ == '__main__':."
)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as a detector is shown it.

    Args:
        key: Key of the image in its shard.
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
    """An image without a picture.

    Args:
        key: Key of the image in its shard.
        sentence: Why the image cannot be read.
        suspect: Whether the machine may be at fault; it is where nearly all images fail so.
        passing: Whether the fault is this machine's, not the file's: another try may read it.
    """

    key: str
    sentence: str
    suspect: bool = False
    passing: bool = False


def decode(key: str, contents: bytes, max_side: int, max_pixels: int = MOST_PIXELS) -> Picture | Unreadable:
    """Return an image file of at most `max_pixels` as a picture whose longest side is at most `max_side` pixels."""
    try:
        with warnings.catch_warnings():
            # Large images are shown smaller, and JPEG is decoded at the smaller size to begin with.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return picture_of(key, contents, max_side, max_pixels)
    except InputError as error:
        return Unreadable(key, str(error))
    except MemoryError:
        return Unreadable(key, f"{key}: there is too little memory to decode it.", passing=True)
    except Exception as error:
        # A file must not stop a run of months, whatever a decoder makes of it.
        return Unreadable(key, f"{key}: cannot be read as an image ({type(error).__name__}: {error}).")


def picture_of(key: str, contents: bytes, max_side: int, max_pixels: int = MOST_PIXELS) -> Picture:
    """Decode an image; raises InputError where it is none."""
    opened = open_image(contents, key)
    with readable(key):
        oddities = tuple(oddities_of(opened))
    width, height = upright_size(opened, key)
    shown = shown_size((width, height), max_side)
    copy = decoded(opened, key, 1 / min(1.0, max_side / max(width, height)), max_pixels)
    image = copy.image
    if image.size != shown:
        image = image.resize(shown, Image.Resampling.BICUBIC, copy.box((0, 0, width, height)), reducing_gap=3.0)
    pixels = np.asarray(image)
    margins = [(0, -side % PAD_TO) for side in pixels.shape[:2]]
    return Picture(key, (width, height), shown, np.pad(pixels, [*margins, (0, 0)], "edge"), oddities)


def shown_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return `(width, height)` at which a detector is shown an image of a size, the longest side at most `max_side`."""
    ratio = min(1.0, max_side / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


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
    """Decode several images. Runs in a decoding process."""
    return [decode(key, data, max_side, max_pixels) for key, data in zip(keys, contents, strict=True)]


class Decoders:
    """Processes that decode; they end with the one that made them, however that ends.

    Args:
        processes: Number of processes that decode at a time.
        max_side: Longest side of their pictures, pixels.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        LostProcessError: Processes cannot be started here.
    """

    def __init__(self, processes: int, max_side: int, max_pixels: int = MOST_PIXELS) -> None:
        self.count, self.max_side, self.max_pixels = processes, max_side, max_pixels
        self.lock = threading.Lock()
        self.lost: LostProcessError | None = None
        self.pool = pool_of(processes)

    def decode(self, keys: Sequence[str], contents: Sequence[bytes]) -> list[Picture | Unreadable]:
        """Return the pictures of image files. A file that ends its process is found out by decoding each of them alone.

        Raises:
            LostProcessError: No process can live here: that is no file's fault.
        """
        pool = self.pool
        try:
            with starting():
                pictures = pool.submit(decode_all, keys, contents, self.max_side, self.max_pixels)
            return pictures.result()
        except BrokenExecutor:
            self.renew(pool)
        return [self.decode_apart(key, data) for key, data in zip(keys, contents, strict=True)]

    def renew(self, broken: ProcessPoolExecutor) -> None:
        """Start new processes in place of broken ones, after a trial that shows that processes can live here."""
        with self.lock:
            if self.lost:
                raise self.lost
            if self.pool is broken:
                try:
                    prove()
                except LostProcessError as error:
                    self.lost = error
                    raise
                self.pool = pool_of(self.count)

    def decode_apart(self, key: str, contents: bytes) -> Picture | Unreadable:
        """Decode one image in a process of its own."""
        found = apart(key, contents, self.max_side, self.max_pixels)
        if not isinstance(found, int):
            return found
        prove()
        told = f"{key}: the process that decoded it came to a sudden end ({ending(found)})."
        if found == -signal.SIGKILL:
            return Unreadable(key, f"{told} Is there enough memory?", passing=True)
        return Unreadable(key, f"{told} Remove the file.", suspect=True)

    def close(self) -> None:
        """End the processes, also those that are at work."""
        running = workers_of(self.pool)
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()


def decoding_context() -> ForkServerContext:
    """Return how processes for decoding are started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def pool_of(processes: int) -> ProcessPoolExecutor:
    """Return processes for decoding."""
    with starting():
        return ProcessPoolExecutor(processes, mp_context=decoding_context(), initializer=serve_quietly)


def apart(key: str, contents: bytes, max_side: int, max_pixels: int = MOST_PIXELS) -> Picture | Unreadable | int:
    """Decode an image in a process of its own; return the process's exit code where it came to a sudden end."""
    with starting():
        context = decoding_context()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=send_decoded, args=(theirs, key, contents, max_side, max_pixels), daemon=True)
        process.start()
    theirs.close()
    found: Picture | Unreadable | None = None
    with ours, suppress(EOFError, OSError):
        found = ours.recv()
    with ASKING:
        process.join()
    return (process.exitcode or 0) if found is None else found


def send_decoded(line: Connection, key: str, contents: bytes, max_side: int, max_pixels: int) -> None:
    """Decode an image for another process; runs in a decoding process."""
    serve_quietly()
    line.send(decode(key, contents, max_side, max_pixels))


def prove() -> None:
    """Raise LostProcessError where no process can decode one dot: this machine is at fault then, no file."""
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    found = apart("a dot", dot.getvalue(), TINY)
    if isinstance(found, int):
        raise LostProcessError(expected(DECODING, LIVING, f"one that came to a sudden end ({ending(found)})", ADVICE))
    if isinstance(found, Unreadable):
        raise LostProcessError(expected(DECODING, LIVING, f"one that could not decode a dot ({found.sentence})"))


def ending(code: int | None) -> str:
    """Return how a process ended, by its exit code."""
    if code is None or code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"


@contextmanager
def starting() -> Iterator[None]:
    """Turn what the system raises where a process cannot be started into a sentence."""
    try:
        with ASKING:
            yield
    except BrokenExecutor:
        raise
    except (OSError, EOFError, RuntimeError, ImportError, MemoryError) as error:
        reason = f"none that starts ({type(error).__name__}: {error})"
        raise LostProcessError(expected(DECODING, LIVING, reason, ADVICE)) from error


def refuse_rerun() -> None:
    """Raise InputError where this is a script's second run, by a process that the first has started."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        wanted = "a script that begins under if __name__ == '__main__':"
        advice = "Put what begins the work below that line: processes import the script."
        raise InputError(expected("annotate", wanted, "one whose processes begin it again", advice))


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
