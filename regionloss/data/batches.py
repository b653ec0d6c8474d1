"""Samples and batches: where images and regions meet the training loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..collation import RegionFilter, collate_regions
from ..errors import InputError, expected
from ..regions import Regions
from .images import scaled
from .streams import permutation, stream


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its regions.

    Args:
        pixels: (3, H, W) uint8.
        regions: By kind; a kind that is absent was not looked for.
        source: Where it comes from.
    """

    pixels: Tensor
    regions: Mapping[str, Regions]
    source: str = ""

    @property
    def image(self) -> Tensor:
        """(3, H, W) float32 in [-1, 1]."""
        return scaled(self.pixels)

    @classmethod
    def of(cls, image: Image.Image, regions: Mapping[str, Regions], source: str = "") -> Sample:
        """Return a PIL image (RGB) with its regions as a sample."""
        return cls(torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()), regions, source)


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one size with their regions.

    Args:
        images: (B, 3, H, W) float32 in [-1, 1].
        regions: By kind.
        dropped: How many regions were left out, by `kind/reason`.
        sources: Where each image comes from.
    """

    images: Tensor
    regions: dict[str, Regions]
    dropped: Counter[str] = field(default_factory=Counter)
    sources: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        filters: Mapping[str, RegionFilter] | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """Join samples; regions are clipped, filtered and counted (`regionloss.collation`).

        Raises:
            InputError: Images of different sizes.
        """
        sizes = {tuple(sample.pixels.shape[1:]) for sample in samples}
        if len(sizes) != 1:
            raise InputError(expected("batch", "images of one size", str(sorted(sizes))))
        regions, dropped = collate_regions([sample.regions for sample in samples], filters, generator)
        images = scaled(torch.stack([sample.pixels for sample in samples]))
        return cls(images, regions, dropped, tuple(sample.source for sample in samples))


class Source(Protocol):
    """Samples by number; each is a pure function of the number, in any order, any number of times."""

    name: str

    def sample(self, index: int) -> Sample:
        """Return sample `index` (0 or more; there is no last one)."""
        ...


class Mixture:
    """A fixed number of samples drawn from weighted sources, kept once they are made, shuffled each epoch.

    Everything is a pure function of the seed and the number asked for: a run that goes on from step n sees what an
    unbroken one sees.

    Args:
        sources: With their weights (shares, any scale).
        size: Samples in an epoch.
        seed: Of choices and order.
        filters: Which regions are kept, by kind.
    """

    def __init__(
        self,
        sources: Mapping[Source, float],
        size: int,
        seed: int,
        filters: Mapping[str, RegionFilter] | None = None,
    ) -> None:
        self.sources, self.weights = list(sources), list(sources.values())
        self.size, self.seed, self.filters = size, seed, filters
        self._made: dict[int, Sample] = {}
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return self.size

    def sample(self, index: int) -> Sample:
        """Return one of the samples, 0 to `size - 1`."""
        if index not in self._made:
            source = stream(self.seed, "source", index).choices(self.sources, self.weights)[0]
            self._made[index] = source.sample(index)
        return self._made[index]

    def batch(self, step: int, batch_size: int) -> Batch:
        """Return the batch of a step: the step's share of one endless order, reshuffled after `size` samples."""
        indices = [self._at(position) for position in range(step * batch_size, (step + 1) * batch_size)]
        generator = torch.Generator().manual_seed(stream(self.seed, "regions", step).getrandbits(63))
        return Batch.of([self.sample(index) for index in indices], self.filters, generator)

    def batches(self, batch_size: int) -> Batches:
        """Return the batches of this size, by step."""
        return Batches(self, batch_size)

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, self.size)
        if self._order[0] != epoch:
            self._order = (epoch, permutation(self.seed, "epoch", epoch, length=self.size))
        return self._order[1][place]


@dataclass(frozen=True)
class Batches:
    """A mixture cut into batches of one size."""

    mixture: Mixture
    batch_size: int

    def batch(self, step: int) -> Batch:
        """Return the batch of a step: a pure function of seed and step."""
        return self.mixture.batch(step, self.batch_size)
