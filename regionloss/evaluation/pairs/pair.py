"""One original with what is to be judged in it, and one reconstruction of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from regionloss.regions.regions import Regions


@dataclass(frozen=True)
class Instance:
    """A word, a face or another region that is judged.

    Args:
        kind: Kind of the region, e.g. `text`.
        box: `x1, y1, x2, y2` in pixels of the original.
        size: Extent as a share of the image's longest side (of one character for texts): TokBench's `ratio`.
        text: Transcription; None where nobody made one.
        keypoints: Points as (x, y) in pixels of the original; None where there are none.
        columns: What else the data say of it, by column: groups are made from them.
        quad: Corners as (x, y) in pixels of the original, clockwise from the upper left as read; None where it is its
            box.
    """

    kind: str
    box: tuple[float, float, float, float]
    size: float
    text: str | None = None
    keypoints: tuple[tuple[float, float], ...] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    quad: tuple[tuple[float, float], ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Original:
    """An image of the data.

    Args:
        key: Name that it has in its data, and by which a reconstruction is found.
        image: (3, H, W) in [-1, 1], 8-bit values.
        instances: What is judged in it, in the order of the data.
        columns: What else the data say of it, by column.
        problems: Sentences about entries of it that cannot be used, each beginning with the kind of problem.
        owner: Name of what it was cut from, where others were, too: a picture, a video. Such images do well or badly
            together, and intervals draw them together. Empty where it stands for itself.
    """

    key: str
    image: Tensor
    instances: tuple[Instance, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    owner: str = ""

    @cached_property
    def mark(self) -> str:
        """Hash of its name, its pixels and what is judged in it: the same wherever its data lie, and whatever its
        columns are."""
        pixels = ((self.image + 1) * 127.5).round().to(torch.uint8).numpy().tobytes()
        said = repr((self.key, self.image.shape, [replace(one, columns={}) for one in self.instances]))
        corners = [one.quad for one in self.instances]
        said += repr(corners) if any(corners) else ""  # without any, the mark of results that know of none
        return hashlib.sha256(said.encode("utf-8", "backslashreplace") + pixels).hexdigest()


class Originals(Protocol):
    """Images that tokenizers are evaluated on; `name` is what tables call them."""

    name: str

    @property
    def identity(self) -> str:
        """What changes where the images or their annotations do, told without reading them: a stop goes on by it."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all images, each once, in an order that never changes."""
        ...

    def read(self, key: str) -> Original:
        """Return one of them.

        Raises:
            InputError: It cannot be read; the sentence names it.
        """
        ...


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What an autoencoder gave back.

    Args:
        image: (3, H, W) in [-1, 1], 8-bit values, of its original's size.
        ids: Codes, integers of any shape; None where there are none, or only the images are known.
        resolution: `(H, W)` that the autoencoder saw, pixels; None where it is not known.
        seconds: How long it took; 0 where that is not known.
    """

    image: Tensor
    ids: Tensor | None = None
    resolution: tuple[int, int] | None = None
    seconds: float = 0.0


class Reconstructions(Protocol):
    """What is evaluated: an autoencoder, or a folder of images that one has made.

    `name` is what tables call it; `codebook_size` the number of its codes, None where that is none, or not known.
    """

    name: str
    codebook_size: int | None

    @property
    def identity(self) -> str:
        """What changes where weights, settings or images do."""
        ...

    def of(self, original: Original) -> Reconstruction:
        """Return the reconstruction of an original.

        Raises:
            InputError: There is none, or it cannot be used; the sentence begins with what is wrong.
        """
        ...


@dataclass(frozen=True, eq=False)
class Pair:
    """An original and its reconstruction, of one size."""

    original: Original
    reconstruction: Reconstruction

    @property
    def target(self) -> Tensor:
        """The original (1, 3, H, W) in [-1, 1]."""
        return self.original.image[None]

    @property
    def output(self) -> Tensor:
        """The reconstruction (1, 3, H, W) in [-1, 1]."""
        return self.reconstruction.image[None]

    def numbers(self, kind: str) -> list[int]:
        """Return which instances are of a kind, by their place in `original.instances`."""
        return [number for number, one in enumerate(self.original.instances) if one.kind == kind]


def regions_of(instances: Sequence[Instance], kind: str, image_size: tuple[int, int]) -> Regions:
    """Return instances of one kind in one image as regions, as judges take them.

    Args:
        instances: Instances of that kind, all with as many keypoints, or all without.
        kind: Kind of these regions, e.g. `text`.
        image_size: `(H, W)` of the image.

    Raises:
        InputError: A box that no crop can be cut from.
    """
    boxes = torch.tensor([one.box for one in instances], dtype=torch.float64).reshape(-1, 4)
    points = [one.keypoints for one in instances]
    texts = [one.text for one in instances]
    quads = [one.quad or ((math.nan, math.nan),) * 4 for one in instances]
    return Regions.single(
        kind,
        boxes,
        image_size,
        keypoints=torch.tensor(points, dtype=torch.float32) if points and all(p is not None for p in points) else None,
        texts=tuple(t for t in texts if t is not None) if None not in texts else None,
        quads=torch.tensor(quads, dtype=torch.float64) if any(one.quad for one in instances) else None,
    )
