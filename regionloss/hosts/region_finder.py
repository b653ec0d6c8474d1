"""Regions of a batch's own images, found while somebody else's loop trains."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from regionloss.checks import check_images, check_range, range_of
from regionloss.errors import InputError, expected
from regionloss.hosts.call import folded
from regionloss.hosts.methods import item_of
from regionloss.regions.collation import RegionFilter, keep
from regionloss.regions.regions import Regions
from regionloss.tensors import full_precision, rescaled, without_autocast


class RegionFinder:
    """Finds the regions of a batch's own images: right after any crop or mirror image, at its detectors' price.

    Where that price is too high, find regions once and let them pass through crops with their images
    (`regionloss annotate`, `RegionCollate`).

    Args:
        detectors: Names such as `"text/ppocr"`, names of terms such as `"text"`, or detectors; one for each kind.
        images: Place of the images in a batch, (B, 3, H, W), (B, H, W, 3) or (B, 3, T, H, W): a key, a position or an
            attribute; None where the finder is called with the images.
        value_range: Range of the images.
        filters: Rules for the regions that are kept, by kind.

    Raises:
        InputError: No detector, something else than detectors, or two of one kind.
        UnknownNameError: No detector and no term has this name.
        WeightsError: Weights are not here; the sentence says how to fetch them.

    Example:
        >>> import torch, regionloss as rl
        >>> find = rl.RegionFinder("whole-image", images="image", value_range=(0, 1))
        >>> len(find({"image": torch.rand(2, 16, 16, 3)})["whole_image"])
        2
    """

    def __init__(
        self,
        *detectors: Any,
        images: str | int | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        filters: Mapping[str, RegionFilter] | None = None,
    ) -> None:
        self._again = functools.partial(
            RegionFinder, *detectors, images=images, value_range=value_range, filters=filters
        )
        self.detectors = {found.kind: found for found in map(built, detectors)}
        if not detectors or len(self.detectors) != len(detectors):
            got = f"those of {', '.join(self.detectors)}" if detectors else "none"
            raise InputError(expected("RegionFinder", "one detector for each kind", got))
        self.images, self.filters = images, dict(filters or {})
        self.value_range = range_of(value_range, "RegionFinder: value_range")
        self._checked = False
        self._last: tuple[Tensor, dict[str, Regions]] | None = None

    @torch.no_grad()
    def __call__(self, batch: Any) -> dict[str, Regions]:
        """Return the regions of a batch, by kind. Images that equal the last call's are not looked at again.

        They are compared by value with a copy that is kept until other images come, since memory that is shared with
        numpy, `.data` and inference mode change a tensor and do not tell. An accelerator waits for that comparison.

        Raises:
            InputError: No images where they should be, or images of another range.
        """
        images = self.images_of(batch)
        # Lightning gives the discriminator's turn the same batch again.
        if self._last is None or not same(images, self._last[0]):
            shown = self.in_range(images)
            with without_autocast(shown):
                found = {kind: detector.detect(shown) for kind, detector in self.detectors.items()}
            self._last = images.clone(), {kind: self.kept(regions) for kind, regions in found.items()}
        return dict(self._last[1])

    def images_of(self, batch: Any) -> Tensor:
        """Return a batch's images as they are."""
        try:
            found = batch if self.images is None else item_of(batch, self.images)
        except LookupError:
            found = None
        if not isinstance(found, Tensor):
            where = "RegionFinder" if self.images is None else f"RegionFinder: batch[{self.images!r}]"
            advice = "Say where they are: RegionFinder(..., images='image')."
            raise InputError(expected(where, "images", type(batch if found is None else found).__name__, advice))
        return found

    def in_range(self, images: Tensor) -> Tensor:
        """Return images as detectors see them, (B, 3, H, W) in [-1, 1]."""
        if images.ndim == 4 and images.shape[3] == 3 != images.shape[1]:
            images = images.permute(0, 3, 1, 2)
        images = folded(images)
        check_images(images, "RegionFinder: images")
        images = full_precision(images.detach())
        if not self._checked:
            check_range(images, self.value_range, "RegionFinder: images", " in RegionFinder(...)")
            self._checked = True
        return rescaled(images, self.value_range)

    def kept(self, regions: Regions) -> Regions:
        """Return the regions that are worth a crop."""
        # Filters work on the host, wherever the detector was.
        rules = self.filters.get(regions.kind, RegionFilter())
        return keep(regions.to("cpu"), rules, Counter(), None).laid_out()

    def __reduce__(self) -> Any:
        # Detectors may hold what cannot be copied; their names can.
        return self._again, ()


def same(images: Tensor, others: Tensor) -> bool:
    """Return whether two tensors hold the same images, on the same device."""
    alike = images.device == others.device and images.dtype == others.dtype
    return alike and torch.equal(images, others)


def built(detector: Any) -> Any:
    """Return a detector, from its name or as it is."""
    if isinstance(detector, str):
        # Late: a name is looked up here alone.
        from regionloss.hooks.catalogue import catalogue
        from regionloss.hooks.detector_names import stands_for

        name, preset = stands_for(detector, catalogue(), "RegionFinder: detectors")
        return catalogue().build("detector", name, preset)
    if not callable(getattr(detector, "detect", None)) or not isinstance(getattr(detector, "kind", None), str):
        wanted = "a name such as 'text/ppocr', or a Detector"
        raise InputError(expected("RegionFinder: detectors", wanted, type(detector).__name__))
    return detector
