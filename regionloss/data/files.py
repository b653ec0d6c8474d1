"""Image files in shards, with their regions, as a source without end: each once an epoch, none lost in silence."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError, expected
from .augmenting import Framing
from .batches import Sample
from .images import decoded, open_image, upright_size
from .joining import Joined
from .orders import ShardOrder
from .shards import Shard, ShardSet
from .streams import stream

#: Path of a shard, key and size (width, height) of an image -> what was found in it.
Annotations = Callable[[str, str, tuple[int, int]], Joined]
MOST_ATTEMPTS = 20


class ImageSource:
    """Images of shards, framed, with their regions.

    Sample n is a function of the seed and n: the image that stands there in the order of the epoch, cut and mirrored as
    drawn for n. An image that cannot be read is named in the sample, and another of its shard stands in its place.

    Args:
        name: Of the source.
        shards: Where the images lie.
        framing: What is done to each.
        seed: Of order and choices.
        annotations: Regions of an image; None where nobody has looked for any.
        window: Shards whose images are mixed.

    Raises:
        InputError: No images.
    """

    def __init__(
        self,
        name: str,
        shards: ShardSet,
        framing: Framing,
        seed: int,
        annotations: Annotations | None = None,
        window: int = 4,
    ) -> None:
        self.name, self.shards, self.framing, self.seed = name, shards.shards, framing, seed
        self.annotations, self.window = annotations, window
        if not sum(shards.lengths):
            got = "; ".join(shards.problems) or "none"
            raise InputError(expected(f"source '{name}'", "one image at least", got.rstrip(".")))
        self.order = ShardOrder(shards.lengths, stream(seed, name, "order").getrandbits(62), window)
        self._open: list[int] = []

    def __len__(self) -> int:
        """Images of an epoch."""
        return len(self.order)

    def sample(self, index: int) -> Sample:
        """Return sample `index`.

        Raises:
            InputError: None of many images of a shard can be read.
        """
        number, place = self.order.at(index)
        skipped: list[str] = []
        shard = self.shard(number)
        for attempt in range(MOST_ATTEMPTS):
            try:
                return self.made(shard, place, index, tuple(skipped))
            except (InputError, OSError) as error:
                skipped.append(str(error))
                rng = stream(self.seed, self.name, index, "instead", attempt)
                place = rng.randrange(self.order.lengths[number])
        got = f"{MOST_ATTEMPTS} in a row that cannot be. The last: {skipped[-1]}"
        raise InputError(expected(f"source '{self.name}', {shard.path}", "images that can be read", got.rstrip(".")))

    def made(self, shard: Shard, place: int, index: int, skipped: tuple[str, ...]) -> Sample:
        """Return an image of a shard as sample `index`."""
        key, rng = shard.keys()[place], stream(self.seed, self.name, index)
        where = f"{shard.path}: {key}"
        opened = open_image(shard.read(place), where)
        width, height = upright_size(opened, where)
        size = (width, height)
        regions, dropped = self.annotations(shard.path, key, size) if self.annotations else Joined({}, {})
        image, shown = self.framing((height, width), lambda shrink: decoded(opened, where, shrink), regions, rng)
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
