"""A sample of images with regions, square as in training, and what each is compared with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from regionloss.data.annotate import Annotated, annotate
from regionloss.data.images import central_window, cropped, decoded, degraded, open_image, to_tensor
from regionloss.data.shards import exists, open_source
from regionloss.data.sidecars import Rows, read_sidecar, same_aspect
from regionloss.errors import InputError, expected
from regionloss.regions import RegionFilter, collate_regions

if TYPE_CHECKING:
    from PIL import Image

    from insighttok_ref.tokenizers.base import Tokenizer
    from regionloss.detectors import Detector
    from regionloss.regions import Regions

Looking = Callable[[str, "Image.Image"], Mapping[str, "Regions"]]


class Sample(NamedTuple):
    """An image (1, 3, S, S) in [-1, 1], its reconstruction, which takes gradients, and its regions by kind."""

    key: str
    target: Tensor
    reconstruction: Tensor
    regions: dict[str, Regions]


def pictures(
    images: str, look: Looking, size: int, limit: int, seed: int = 0, tell: Callable[[str], None] = print
) -> list[Annotated]:
    """Return a sample of the images, the middle square of each; those that cannot be read, or of which nobody knows
    the regions, are told of and left out.

    Args:
        images: A folder of images, or a tar shard.
        look: Gives an image's regions by kind, from its key and the whole image.
        size: Side of the square pictures, in pixels.
        limit: Most images, drawn at random.
        seed: Seed of that draw.
        tell: Told of what was left out.

    Raises:
        InputError: No such folder or shard, or no image that can be read.
    """
    if not exists(images):
        raise InputError(expected("--images", "a folder of images or a tar shard", f"'{images}', which is not there"))
    source, found = open_source(images), []
    try:
        keys = source.shard.keys()
        for number in sorted(random.Random(seed).sample(range(len(keys)), min(limit, len(keys)))):
            try:
                image = decoded(open_image(source.shard.read(number), keys[number]), keys[number]).image
                found.append(_square(keys[number], image, look(keys[number], image), size))
            except (InputError, OSError) as error:
                tell(f"Left out: {keys[number]} ({str(error).rstrip('.')}).")
    finally:
        source.close()
    if not found:
        raise InputError(expected(f"--images ('{images}')", "images that can be read, and were looked at", "none"))
    return found


def _square(key: str, image: Image.Image, regions: Mapping[str, Regions], size: int) -> Annotated:
    """Return the middle of an image with the regions that a training would keep there."""
    square, shown = cropped(image, regions, central_window((image.height, image.width)), (size, size))
    filters = {kind: RegionFilter(need_keypoints=found.keypoints is not None) for kind, found in shown.items()}
    return Annotated(key, square, collate_regions([shown], filters)[0])


def by_detectors(detectors: Sequence[Detector], max_side: int = 1600) -> Looking:
    """Return a look with detectors at the whole image."""
    return lambda key, image: annotate(Annotated(key, image, {}), detectors, max_side).regions


def by_sidecar(path: str) -> Looking:
    """Return a look into a side-car.

    The look raises InputError for an image that the side-car lacks, or has in another shape: nobody has looked at it.
    """
    rows = Rows(read_sidecar(path).table)
    some = f"keys such as '{next(iter(rows.row))}'" if rows.row else "no rows"

    def look(key: str, image: Image.Image) -> Mapping[str, Regions]:
        if key not in rows.row:
            raise InputError(expected(path, f"a row of '{key}'", some, "Is it the side-car of these images?"))
        if not same_aspect(rows.sizes[rows.row[key]].tolist(), image.size):
            raise InputError(expected(path, f"a row of '{key}' as it is", "one of another shape", "Annotate again."))
        return rows.of(key, image.size, None).regions

    return look


def samples(
    found: Sequence[Annotated], model: Tokenizer | None, degrade: str, device: str | None = None
) -> Iterator[Sample]:
    """Yield pictures with their reconstructions, one after the other.

    Args:
        found: Pictures that `pictures` returned.
        model: A tokenizer; its last layer alone takes gradients from now on. None: degraded copies.
        degrade: How the pictures are degraded, as for `degraded`.
        device: Device to copy the samples to.
    """
    if model is not None:
        model.requires_grad_(False).eval()
        model.last_layer.requires_grad_()
    for picture in found:
        target = to_tensor([picture.image]).to(device)
        if model is None:
            reconstruction = to_tensor([degraded(picture.image, degrade)]).to(device).requires_grad_()
        else:
            reconstruction = model(target).reconstruction.float()
        yield Sample(picture.name, target, reconstruction, {k: r.to(target.device) for k, r in picture.regions.items()})
