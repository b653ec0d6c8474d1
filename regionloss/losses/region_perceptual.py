"""The whole flow: images + regions -> crops -> features -> distances -> weights -> loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from regionloss.backbones.base import FeatureBackbone
from regionloss.checks import (
    check_finite,
    check_finite_value,
    check_made,
    check_pair,
    check_range,
    check_regions,
    range_of,
    warn_of_none,
)
from regionloss.distances.base import Distance, Features
from regionloss.distances.squared_l2 import SquaredL2
from regionloss.errors import InputError, expected
from regionloss.extractors.base import RegionExtractor
from regionloss.reduction import Reduction, attached_zeros
from regionloss.regions.regions import Regions
from regionloss.tensors import rescaled, working_dtype
from regionloss.weightings.area import AreaWeighting
from regionloss.weightings.base import Weighting


class RegionPerceptualLoss(nn.Module):
    """Compares every region of a target with the same region of its reconstruction, in a recogniser's features.

    `sum_n w_n / L sum_l 1/(H_l W_l) ||F_l(r_n) - F_l(r'_n)||^2` over an image's regions n, averaged over the images.

    Args:
        extractor: Cuts the crops r and r'.
        backbone: The frozen features F that are compared.
        distance: Compares them; the paper's squared distance by default.
        weighting: Gives w; the paper's share of the image's area by default.
        reduction: How the regions' values become the loss: `"image_mean"`, `"sum"` or `"none"`.
        chunk_size: Most regions whose activations are kept at a time. With more, they are computed again in the
            backward pass; the result does not change.
        value_range: Range of the images; converted once, here.

    Source: InsightTok, eq. 4-9.

    Example:
        >>> import torch, regionloss as rl
        >>> backbone = rl.FeatureBackbone(torch.nn.Conv2d(3, 4, 3), rl.InputSpec())
        >>> loss = rl.RegionPerceptualLoss(rl.ResizeExtractor(size=(8, 8)), backbone)
        >>> regions = rl.Regions("text", torch.tensor([[2.0, 3, 14, 9]]), torch.tensor([0]), (16, 16))
        >>> loss(torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 16, 16), regions)
        tensor(0.)
    """

    def __init__(
        self,
        extractor: RegionExtractor,
        backbone: FeatureBackbone,
        distance: Distance | None = None,
        weighting: Weighting | None = None,
        reduction: str = "image_mean",
        *,
        chunk_size: int | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__()
        distance = SquaredL2() if distance is None else distance
        weighting = AreaWeighting() if weighting is None else weighting
        check_part("extractor", extractor, RegionExtractor)
        check_part("backbone", backbone, FeatureBackbone)
        check_part("distance", distance, Distance)
        check_part("weighting", weighting, Weighting)
        if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
            raise InputError(expected("chunk_size", "None or a positive whole number", repr(chunk_size)))
        self.extractor = extractor
        self.backbone = backbone
        self.distance = distance
        self.weighting = weighting
        self.reduction = Reduction(reduction)
        self.chunk_size = chunk_size
        self.value_range = range_of(value_range)
        self._checked = False

    def forward(self, reconstruction: Tensor, target: Tensor, regions: Regions | None) -> Tensor:
        """Return the loss, 0-d; or weighted distances (R,) for `reduction="none"`.

        Without regions it is a zero that is attached to the graph.

        Args:
            reconstruction: (B, 3, H, W), RGB, in [-1, 1]; may exceed it.
            target: (B, 3, H, W), RGB, in [-1, 1].
            regions: Regions of the target; None for none.

        Raises:
            InputError: Shapes or devices that do not fit; on the first call also a target outside the range.
            NotFiniteError: A first value that overflows.
        """
        first = not self._checked
        value = self.reduction(self.per_region(reconstruction, target, regions), len(target))
        if first and self._checked:
            check_finite_value(value.sum(), "loss")
        return value

    def per_region(self, reconstruction: Tensor, target: Tensor, regions: Regions | None) -> Tensor:
        """Return weighted distances (R,), attached to the graph also when R is zero; arguments as in `forward`."""
        self.check(reconstruction, target, regions)
        if regions is None or len(regions) == 0:
            return attached_zeros(reconstruction)
        regions = regions.to(target.device, non_blocking=True, dtype=working_dtype(target))
        crops = self.crops(reconstruction, regions)
        with torch.no_grad():
            target_crops = self.crops(target, regions)
        distances, weights = self.in_chunks(crops, target_crops), self.weighting(regions)
        check_made(weights, regions.boxes, (len(regions),), f"weighting ({name_of(self.weighting)})")
        return masked(distances * weights, regions.valid)

    def crops(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, h, w) of images (B, 3, H, W)."""
        crops = self.extractor(self.in_range(images), regions)
        check_made(crops, images, (len(regions), 3, None, None), f"extractor ({name_of(self.extractor)})")
        return crops

    def in_chunks(self, crops: Tensor, target_crops: Tensor) -> Tensor:
        """Return (R,) distances between crops (R, 3, h, w), at most `chunk_size` regions' activations at a time."""
        if self.chunk_size is None or len(crops) <= self.chunk_size:
            return self.compare(crops, target_crops)
        chunks = zip(torch.split(crops, self.chunk_size), torch.split(target_crops, self.chunk_size), strict=True)
        return torch.cat([checkpoint(self.compare, *chunk, use_reentrant=False) for chunk in chunks])

    def compare(self, crops: Tensor, target_crops: Tensor) -> Tensor:
        """Return (R,) distances in the backbone's features."""
        features, target_features = self.backbone(crops, target_crops)
        self.check_features(features, crops)
        self.check_features(target_features, target_crops)
        distances = self.distance(features, target_features)
        check_made(distances, crops, (len(crops),), f"distance ({name_of(self.distance)})")
        return distances

    def check_features(self, features: Features, crops: Tensor) -> None:
        """Raise InputError unless the backbone made levels (R, C, ...) of R crops."""
        where = f"backbone ({name_of(self.backbone)})"
        if not isinstance(features, (tuple, list)) or not features:
            got = "none" if isinstance(features, (tuple, list)) else type(features).__name__
            raise InputError(expected(where, "a tuple of levels (R, C, ...)", got))
        for level in features:
            check_made(level, crops, (len(crops), None), where, more=True)

    def check(self, reconstruction: Tensor, target: Tensor, regions: Regions | None) -> None:
        """Raise InputError for what does not fit; values are read on the first call alone."""
        check_pair(reconstruction, target)
        if regions is not None:
            check_regions(regions, target)
        if not self._checked and not torch.compiler.is_compiling():
            check_range(target, self.value_range, "target")
            check_finite(reconstruction, "reconstruction")
            self._checked = True
            if regions is None and torch.is_grad_enabled():
                warn_of_none("Regions(...)", stacklevel=6)

    def in_range(self, images: Tensor) -> Tensor:
        """Return images in [-1, 1]."""
        return rescaled(images, self.value_range)


def check_part(role: str, part: object, kind: type) -> None:
    """Raise InputError for what cannot stand in a part's place: a name, or a class instead of an object of it."""
    if isinstance(part, type):
        raise InputError(expected(role, f"a {kind.__name__}", "a class", f"Make one: {part.__name__}(...)."))
    if not isinstance(part, kind):
        advice = "Components are built by name with regionloss.hooks.catalogue.catalogue().build(kind, name)."
        raise InputError(expected(role, f"a {kind.__name__}", type(part).__name__, advice))


def name_of(part: object) -> str:
    """Return how a message names a part: its function's or its class's name."""
    return str(getattr(part, "__name__", type(part).__name__))


def masked(values: Tensor, valid: Tensor | None) -> Tensor:
    """Return values with zeros for regions that are not valid."""
    return values if valid is None else torch.where(valid, values, 0)
