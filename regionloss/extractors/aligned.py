"""Keypoints -> template by a similarity, then sampling (InsightTok, eq. 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regionloss.checks import size_of
from regionloss.errors import InputError, expected
from regionloss.extractors.sampling import layout_of, power_of_two, power_of_two_above, sample_projective
from regionloss.extractors.similarity import fit_similarity
from regionloss.regions.layout import Layout
from regionloss.regions.regions import Regions
from regionloss.tensors import constants, without_autocast, working_dtype


class AlignedExtractor:
    """Aligns each region's keypoints to a template and reads the crop there: `r[c] = x[T^-1(c)]`.

    Shrinking is anti-aliased: every crop pixel averages bilinear reads that spread as its footprint in the image does.
    A region with fewer than two known keypoints is cut by its box instead (`Regions` usually drop it at collation).

    Args:
        template: (K, 2) x, y of the keypoints in the crop, pixels (pixel i covers [i, i + 1)).
        size: Height and width of the crops, pixels.
        padding: `"border"` repeats the image's border, `"black"` reads -1 outside.

    Source: InsightTok, eq. 7 and 8.
    """

    def __init__(
        self, template: Sequence[Sequence[float]], size: tuple[int, int] = (112, 112), padding: str = "border"
    ) -> None:
        self.size = size_of(size, "aligned.size")
        try:
            self.template = torch.tensor(template, dtype=torch.float64)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise InputError(expected("aligned.template", "K points [[x, y], ...]", repr(template))) from error
        if self.template.ndim != 2 or self.template.shape[1] != 2 or len(self.template) < 2:
            got = str(tuple(self.template.shape))
            raise InputError(expected("aligned.template", "K >= 2 points (K, 2)", got))
        if not isinstance(padding, str) or padding not in ("border", "black"):
            raise InputError(expected("aligned.padding", "'border' or 'black'", repr(padding)))
        self.fill = -1.0 if padding == "black" else None
        self._flat = tuple(self.template.flatten().tolist())
        self.template_spread = float((self.template - self.template.mean(0)).square().sum(1).mean().sqrt())
        if not self.template_spread > 0:
            raise InputError(expected("aligned.template", "points that differ", str(self.template.tolist())))

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, height, width) of `images` (B, 3, H, W)."""
        with without_autocast(images):
            matrix, offset = self.to_image(regions, working_dtype(images))
        # The mean over what a crop pixel covers spreads by (shrink^2 + 1) / 12, a bilinear read by 1 / 6.
        shrink = matrix.square().sum(1)
        spread = ((shrink - 1) / (12 * shrink)).clamp(min=0)
        reads = self.reads(layout_of(regions))
        to_image = torch.cat([matrix, offset[..., None]], 2)
        crops, _ = sample_projective(images, regions, to_image, self.size, (reads, reads), spread, self.fill)
        return crops

    def to_image(self, regions: Regions, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return `T^-1`: matrix (R, 2, 2) and offset (R, 2) from crop pixels to image pixels."""
        if regions.keypoints is None or regions.keypoints.shape[1] != len(self.template):
            got = "none" if regions.keypoints is None else str(regions.keypoints.shape[1])
            wanted = f"{len(self.template)} keypoints a region"
            advice = f"Use a detector of kind '{regions.kind}' that gives them, or a box extractor."
            raise InputError(expected(f"regions['{regions.kind}'].keypoints", wanted, got, advice))
        keypoints = regions.keypoints.to(dtype)
        template = constants(self._flat, keypoints).view(-1, 2)
        matrix, offset = fit_similarity(keypoints, template)
        scale = matrix.square().sum((1, 2)).div(2)
        usable = scale > 1e-12
        inverse = matrix.transpose(1, 2) / torch.where(usable, scale, 1)[:, None, None]
        back = -(inverse @ offset[..., None])[..., 0]
        low, high = regions.boxes[:, :2].to(dtype), regions.boxes[:, 2:].to(dtype)
        stretch = torch.diag_embed((high - low) / constants(self.size[::-1], low))
        chosen = usable[:, None, None]
        return torch.where(chosen, inverse, stretch), torch.where(usable[:, None], back, low)

    def reads(self, layout: Layout) -> tuple[Tensor, int]:
        """Return each region's reads per side (R,), powers of two, and the largest that the host must reckon with."""
        shrink = torch.where(layout.spread > 0, layout.spread / self.template_spread, layout.side / min(self.size))
        largest = max(layout.most.spread / self.template_spread, layout.most.side / min(self.size))
        return power_of_two(shrink), power_of_two_above(largest)
