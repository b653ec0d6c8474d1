"""Samples and batches: where images and regions meet the training loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regionloss.data.batches.order import Interleave
from regionloss.data.batches.random_streams import permutation, stream
from regionloss.data.images.files import scaled
from regionloss.errors import InputError, expected
from regionloss.regions.collation import RegionFilter, collate_regions
from regionloss.regions.geometry import Draws
from regionloss.regions.regions import Regions


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its regions.

    Args:
        pixels: Pixels (3, H, W), uint8.
        regions: Regions by kind; a kind that is absent was not looked for.
        source: Name of the source, and the image's key there.
        skipped: Images that could not be read and that this one stands for, a sentence each.
        dropped: How many regions were left out on the way, by `kind/reason`.
    """

    pixels: Tensor
    regions: Mapping[str, Regions]
    source: str = ""
    skipped: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def image(self) -> Tensor:
        """(3, H, W) float32 in [-1, 1]."""
        return scaled(self.pixels)

    @classmethod
    def of(
        cls,
        image: Image.Image,
        regions: Mapping[str, Regions],
        source: str = "",
        skipped: tuple[str, ...] = (),
        dropped: Mapping[str, int] | None = None,
    ) -> Sample:
        """Return a PIL image (RGB) with its regions as a sample."""
        pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())
        return cls(pixels, regions, source, skipped, dropped or {})


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one size with their regions.

    Images travel as bytes, between processes and to a device: a quarter of what numbers would take.

    Args:
        pixels: (B, 3, H, W) uint8.
        regions: Regions of the images by kind.
        dropped: How many regions were left out, by `kind/reason`.
        sources: Name of each image's source, and the image's key there.
        skipped: Images that could not be read, and why; others stand in their places.
    """

    pixels: Tensor
    regions: dict[str, Regions]
    dropped: Counter[str] = field(default_factory=Counter)
    sources: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def images(self) -> Tensor:
        """(B, 3, H, W) float32 in [-1, 1], on the device of the pixels; made once, when first asked for."""
        return scaled(self.pixels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on another device, before its images are asked for.

        Args:
            device: Device to copy the tensors to.
            non_blocking: Whether not to wait for copies from pinned memory, as in `Tensor.to`.
        """
        regions = {kind: found.to(device, non_blocking) for kind, found in self.regions.items()}
        return replace(self, pixels=self.pixels.to(device, non_blocking=non_blocking), regions=regions)

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which copies to a device need not be waited for."""
        regions = {kind: found.pin_memory() for kind, found in self.regions.items()}
        return replace(self, pixels=self.pixels.pin_memory(), regions=regions)

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        filters: Mapping[str, RegionFilter] | None = None,
        generator: Draws = None,
    ) -> Batch:
        """Join samples; regions are clipped, filtered and counted (`regionloss.regions.collation`).

        Args:
            samples: Images of one size.
            filters: Rules for the regions that are kept, by kind.
            generator: Source of random choices; with one for each sample, what is kept of a sample does not depend on
                the others.

        Raises:
            InputError: Images of different sizes.
        """
        sizes = {tuple(sample.pixels.shape[1:]) for sample in samples}
        if len(sizes) != 1:
            raise InputError(expected("batch", "images of one size", str(sorted(sizes))))
        regions, dropped = collate_regions([sample.regions for sample in samples], filters, generator)
        for sample in samples:
            dropped.update(sample.dropped)
        pixels = torch.stack([sample.pixels for sample in samples])
        skipped = tuple(sentence for sample in samples for sentence in sample.skipped)
        return cls(pixels, regions, dropped, tuple(sample.source for sample in samples), skipped)


class Source(Protocol):
    """Samples by number; each is a pure function of the number, in any order, any number of times."""

    name: str

    def sample(self, index: int) -> Sample:
        """Return sample `index` (0 or more; there is no last one)."""
        ...


@runtime_checkable
class Remote(Protocol):
    """What may lie far away, where one file after another would be one wait after another."""

    def read_ahead(self, numbers: Sequence[int]) -> None:
        """Fetch at once what samples of these numbers need; they are asked for next."""


class Samples(Protocol):
    """An endless order of samples; what stands at a position is a pure function of the seed and the position."""

    seed: int
    filters: Mapping[str, RegionFilter] | None

    def at(self, position: int) -> Sample:
        """Return the sample at a position, 0 or more."""
        ...


class BatchSource(Protocol):
    """What training takes batches from: a pure function of the number, so that a number is all that resume needs."""

    def starting_at(self, number: int) -> Iterator[Batch]:
        """Yield this process's micro-batches from one on, without end.

        Args:
            number: Micro-batches of this process that went before.
        """
        ...


class Mixture:
    """A fixed number of samples drawn from weighted sources, kept once they are made, shuffled each epoch.

    Everything is a pure function of the seed and the number asked for: a run that goes on from step n sees what an
    unbroken one sees.

    Args:
        sources: Sources, each with its weight: a share of any scale.
        size: Number of samples in an epoch.
        seed: Seed of the choice of sources and of the order within each.
        filters: Rules for the regions that are kept, by kind.
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

    def at(self, position: int) -> Sample:
        """Return the sample at a position of one endless order, reshuffled after `size` samples."""
        epoch, place = divmod(position, self.size)
        if self._order[0] != epoch:
            self._order = (epoch, permutation(self.seed, "epoch", epoch, length=self.size))
        return self.sample(self._order[1][place])

    def batch(self, step: int, batch_size: int) -> Batch:
        """Return the batch of a step: the step's share of the endless order."""
        return batch_at(self, step * batch_size, batch_size)


class Blend:
    """Weighted sources without end: shares are kept, and each source gives its samples in its own order.

    Args:
        sources: Sources, each with its weight: a share of any scale.
        seed: Seed of the order.
        filters: Rules for the regions that are kept, by kind.
        block: Samples after which each share is kept to within one (see `Interleave`).
    """

    def __init__(
        self,
        sources: Mapping[Source, float],
        seed: int,
        filters: Mapping[str, RegionFilter] | None = None,
        block: int = 1000,
    ) -> None:
        self.sources, self.seed, self.filters = list(sources), seed, filters
        self.order = Interleave(list(sources.values()), seed, block)

    def at(self, position: int) -> Sample:
        """Return the sample at a position of the endless order."""
        source, number = self.order.at(position)
        return self.sources[source].sample(number)

    def read_ahead(self, positions: Sequence[int]) -> None:
        """Let sources whose files are far away fetch what the samples at some positions need, all at once."""
        drawn = [self.order.at(position) for position in positions]
        for number, source in enumerate(self.sources):
            if isinstance(source, Remote):
                source.read_ahead([sample for which, sample in drawn if which == number])


def batch_at(data: Samples, first: int, size: int) -> Batch:
    """Return the samples of `size` positions from `first` on as a batch.

    Random choices among regions are drawn for each position on its own: how an order is cut into batches, and over
    how many processes, changes nothing for an image (a limit on a whole batch apart).
    """
    generators = None
    if any(rules.drop or rules.choose == "random" for rules in (data.filters or {}).values()):
        seeds = [stream(data.seed, "regions", first + i).getrandbits(63) for i in range(size)]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    if isinstance(data, Remote):
        data.read_ahead(range(first, first + size))
    return Batch.of([data.at(first + i) for i in range(size)], data.filters, generators)
