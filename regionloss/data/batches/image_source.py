"""Image files in shards, with their regions, as a source without end: each once an epoch, none lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from regionloss.data.batches.batch import Sample
from regionloss.data.batches.order import ShardOrder
from regionloss.data.batches.random_streams import stream
from regionloss.data.images.augment import Framing
from regionloss.data.images.files import MOST_PIXELS, ImageError, decoded, open_image, upright_size
from regionloss.data.shards.paths import is_local
from regionloss.data.shards.shards import Shard, ShardSet
from regionloss.data.sidecars.entries import Joined
from regionloss.errors import InputError, expected

#: Path of a shard, key and size (width, height) of an image -> what was found in it.
Lookup = Callable[[str, str, tuple[int, int]], Joined]
#: How many images in a row may be unreadable, and how many of them are looked for in one shard.
MOST_ATTEMPTS, NEAR_ATTEMPTS = 20, 3
#: Files that are fetched at the same time.
AT_ONCE = 16


class ImageSource:
    """Images of shards, framed, with their regions.

    Sample n is a function of the seed and n: the image that stands there in the order of the epoch, cut and mirrored as
    drawn for n. An image that cannot be read is named in the sample, and another stands in its place.

    Args:
        name: Name of the source.
        shards: Shards that hold the images.
        framing: How each image becomes a square with regions.
        seed: Seed of the order and of random choices.
        annotations: Regions of an image; None where nobody has looked for any.
        window: Shards whose images are mixed.
        max_pixels: Most pixels of an image that is decoded; a larger one counts as one that cannot be read.

    Raises:
        InputError: No images.
    """

    def __init__(
        self,
        name: str,
        shards: ShardSet,
        framing: Framing,
        seed: int,
        annotations: Lookup | None = None,
        window: int = 4,
        max_pixels: int = MOST_PIXELS,
    ) -> None:
        self.name, self.shards, self.framing, self.seed = name, shards.shards, framing, seed
        self.annotations, self.window, self.max_pixels = annotations, window, max_pixels
        if not sum(shards.lengths):
            got = "; ".join(shards.problems) or "none"
            raise InputError(expected(f"source '{name}'", "one image at least", got.rstrip(".")))
        self.order = ShardOrder(shards.lengths, stream(seed, name, "order").getrandbits(62), window)
        self._open: list[int] = []
        self._ahead: dict[tuple[int, int], Future[bytes]] = {}

    def __len__(self) -> int:
        """Images of an epoch."""
        return len(self.order)

    def sample(self, index: int) -> Sample:
        """Return sample `index`.

        Raises:
            InputError: None of many images can be read; or what is wrong with a side-car.
        """
        skipped: list[str] = []
        for attempt in range(MOST_ATTEMPTS):
            number, place = self.place(index, attempt)
            try:
                return self.made(number, place, index, tuple(skipped))
            except ImageError as error:
                skipped.append(str(error))
        got = f"{MOST_ATTEMPTS} in a row that cannot be. The last: {skipped[-1]}"
        raise InputError(expected(f"source '{self.name}'", "images that can be read", got.rstrip(".")))

    def place(self, index: int, attempt: int) -> tuple[int, int]:
        """Return the shard of sample `index` and the place in it; at further attempts another one, at last anywhere."""
        number, place = self.order.at(index)
        if not attempt:
            return number, place
        rng = stream(self.seed, self.name, index, "instead", attempt - 1)
        if attempt <= NEAR_ATTEMPTS:
            return number, rng.randrange(self.order.lengths[number])
        return self.order.at(rng.randrange(len(self.order)))

    def read_ahead(self, indices: Sequence[int]) -> None:
        """Fetch the files of samples that lie in no folder and tar file of this machine, several at a time."""
        places = [self.order.at(index) for index in indices]
        far = [at for at in places if not is_local(self.shards[at[0]].path)]
        for number in dict.fromkeys(number for number, _ in far):
            self.shard(number).keys()  # by one thread alone: it reads an index
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self._ahead = {at: pool.submit(self.shards[at[0]].read, at[1]) for at in dict.fromkeys(far)}

    def made(self, number: int, place: int, index: int, skipped: tuple[str, ...]) -> Sample:
        """Return an image of a shard as sample `index`."""
        shard = self.shard(number)
        key, rng = shard.keys()[place], stream(self.seed, self.name, index)
        where, ahead = f"{shard.path}: {key}", self._ahead.pop((number, place), None)
        opened = open_image(contents_of(ahead.result if ahead else partial(shard.read, place), where), where)
        width, height = upright_size(opened, where)
        size = (width, height)
        regions, dropped, mirrors = self.annotations(shard.path, key, size) if self.annotations else Joined({}, {})
        decode = partial(decoded, opened, where, max_pixels=self.max_pixels)
        image, shown = self.framing((height, width), decode, regions, rng, mirrors)
        outside = {f"{kind}/outside": len(found) - len(shown[kind]) for kind, found in regions.items()}
        return Sample.of(image, shown, f"{self.name}/{key}", skipped, {**dropped, **outside})

    def shard(self, number: int) -> Shard:
        """Return a shard, and close those that were not used for a while."""
        if number in self._open:
            self._open.remove(number)
        self._open.append(number)
        if len(self._open) > 2 * self.window:
            self.shards[self._open.pop(0)].forget()
        return self.shards[number]


def contents_of(read: Callable[[], bytes], where: str) -> bytes:
    """Return an image file's contents; raises ImageError where the file system does not give them."""
    try:
        return read()
    except ImageError:
        raise
    except (InputError, OSError) as error:
        raise ImageError(f"{where}: cannot be read ({str(error).rstrip('.')}).") from error
