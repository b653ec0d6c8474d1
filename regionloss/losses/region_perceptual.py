"""The whole flow: images + regions -> crops -> features -> distances -> weights -> loss."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.heads import Reader
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
from regionloss.distances.base import Distance
from regionloss.distances.squared_l2 import SquaredL2
from regionloss.errors import InputError, expected
from regionloss.extractors.base import RegionExtractor
from regionloss.losses.comparison import check_heads, compare, is_labelled, labels_of, name_of
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
        distance: Compares them; the paper's squared distance by default. What it needs beside the backbone's levels (an
            embedding, logits) is asked of the backbone here.
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
        check_heads(distance, backbone)
        if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
            raise InputError(expected("chunk_size", "None or a positive whole number", repr(chunk_size)))
        self.extractor = extractor
        self.backbone = backbone
        self.distance = distance
        self.weighting = weighting
        self.reduction = Reduction(reduction)
        self.chunk_size = chunk_size
        self.value_range = range_of(value_range)
        self._checked = self._unlabelled = False

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
        distances = self.in_chunks(crops, target_crops, self.labels(regions))
        return masked(distances * self.weights(regions), regions.valid)

    def weights(self, regions: Regions) -> Tensor:
        """Return (R,) weights of regions: what the weighting says, times those that the regions carry."""
        weights = self.weighting(regions)
        check_made(weights, regions.boxes, (len(regions),), f"weighting ({name_of(self.weighting)})")
        return weights if regions.weights is None else weights * regions.weights

    def crops(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, h, w) of images (B, 3, H, W)."""
        crops = self.extractor(self.in_range(images), regions)
        check_made(crops, images, (len(regions), 3, None, None), f"extractor ({name_of(self.extractor)})")
        return crops

    def in_chunks(self, crops: Tensor, target_crops: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return (R,) distances between crops (R, 3, h, w), at most `chunk_size` regions' activations at a time."""
        if self.chunk_size is None or len(crops) <= self.chunk_size:
            return self.compare(crops, target_crops, labels)
        given = [crops, target_crops] if labels is None else [crops, target_crops, labels]
        chunks = zip(*(torch.split(one, self.chunk_size) for one in given), strict=True)
        return torch.cat([checkpoint(self.compare, *chunk, use_reentrant=False) for chunk in chunks])

    def compare(self, crops: Tensor, target_crops: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return (R,) distances in the backbone's features; labels as `labels` returns them."""
        return compare(self.backbone, self.distance, crops, target_crops, labels)

    def labels(self, regions: Regions) -> Tensor | None:
        """Return what a distance that reads transcriptions is given of them, (R, N); None where there is nothing."""
        if not is_labelled(self.distance):
            return None
        if regions.texts is None:
            self.note_unlabelled(regions.kind)
            return None
        assert isinstance(self.backbone, Reader)
        return labels_of(regions.texts, self.backbone)

    def note_unlabelled(self, kind: str) -> None:
        """Warn once of regions without transcriptions, of which a distance that reads them can say nothing."""
        if not self._unlabelled and not torch.compiler.is_compiling():
            self._unlabelled = True
            got = "none, so a distance that reads them is 0"
            advice = "A side-car of words has them; of regions of your own they are Regions.texts."
            warnings.warn(expected(f"regions['{kind}'].texts", "transcriptions", got, advice), stacklevel=5)

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


def masked(values: Tensor, valid: Tensor | None) -> Tensor:
    """Return values with zeros for regions that are not valid."""
    return values if valid is None else torch.where(valid, values, 0)
