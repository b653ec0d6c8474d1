"""Gradient norms of losses at the reconstruction and at the decoder's last layer, image by image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from insighttok_ref.calibration.samples import Sample
from insighttok_ref.objective.gradient import gradients_at
from insighttok_ref.objective.perceptual import PerceptualLoss
from insighttok_ref.objective.reconstruction import l1
from regionloss.evaluation import region_mask
from regionloss.losses import LAST_STEP, LossTerms
from regionloss.regions import Regions

#: InsightTok: gamma, the weight of LPIPS.
PERCEPTUAL_WEIGHT = 0.5
REST = "rest"


class Pull(NamedTuple):
    """What a loss does to one image.

    Args:
        image: Number of the image in the sample.
        value: Value of the loss, before its weight.
        norm: L2 norm of its gradient at the reconstruction.
        rms: Root mean square of that gradient over all elements.
        inside: The same over the elements inside regions; NaN without any.
        last_layer: L2 norm of its gradient at the decoder's last layer; NaN without a tokenizer.
    """

    image: int
    value: float
    norm: float
    rms: float
    inside: float
    last_layer: float


class Quartiles(NamedTuple):
    """The median of a quantity over images, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return "-" if math.isnan(self.median) else f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass
class Pulls:
    """A loss over the images of a sample that have something for it.

    Args:
        name: Name of the loss.
        group: A loss of whole images, all of those together with their weights, or a term.
        kind: The kind of region that a term reads.
        weight: Weight that the loss has now.
        images: How many images the sample has.
        found: One for each image that counts.
    """

    name: str
    group: Literal["loss", "rest", "term"]
    kind: str = ""
    weight: float = 1.0
    images: int = 0
    found: list[Pull] = field(default_factory=list)

    def quartiles(self, what: str, only: set[int] | None = None) -> Quartiles:
        """Return the quartiles of a field of `Pull`, over some of the images alone if they are named."""
        values = [getattr(pull, what) for pull in self.found if only is None or pull.image in only]
        values = [value for value in values if not math.isnan(value)]
        if not values:
            return Quartiles(math.nan, math.nan, math.nan)
        low, median, high = np.percentile(values, [25, 50, 75]).tolist()
        return Quartiles(median, low, high)


def measure(
    samples: Iterable[Sample],
    terms: LossTerms,
    perceptual: tuple[str, PerceptualLoss] | None = None,
    last_layer: Tensor | None = None,
) -> list[Pulls]:
    """Return how strongly l1, a perceptual loss, their weighted sum and every term pull.

    A term counts in images that have regions of its kind, the others in all. Weights are not applied, but in the sum:
    l1 + 0.5 perceptual, as in InsightTok.

    Args:
        samples: Images with reconstructions and regions.
        terms: Terms to be measured.
        perceptual: Name of a loss of whole images, and the loss.
        last_layer: Weights of the decoder's last layer, where reconstructions come from a tokenizer.
    """
    rest = f"l1 + {PERCEPTUAL_WEIGHT:g} {perceptual[0]}" if perceptual else "l1 alone"
    rows = [Pulls("l1", "loss"), *([Pulls(perceptual[0], "loss")] if perceptual else []), Pulls(rest, "rest")]
    rows += [Pulls(name, "term", term.kind, term.weight_at(LAST_STEP)) for name, term in terms.terms.items()]
    for number, sample in enumerate(samples):
        masks = {kind: region_mask(found, 1)[0, 0] for kind, found in sample.regions.items() if counts(found)}
        whole = torch.stack(list(masks.values())).any(0) if masks else None
        values: list[Tensor] = [l1(sample.reconstruction, sample.target)]
        if perceptual:
            values.append(perceptual[1](sample.reconstruction, sample.target))
        values.append(values[0] + PERCEPTUAL_WEIGHT * values[1] if perceptual else values[0])
        values += terms(sample.reconstruction, sample.target, sample.regions, LAST_STEP).by_term.values()
        for row, value in zip(rows, values, strict=True):
            row.images += 1
            everywhere = row.group != "term" or row.kind == "whole_image"
            if everywhere or row.kind in masks:
                mask = whole if everywhere else masks[row.kind]
                row.found.append(pull(number, value, sample.reconstruction, last_layer, mask))
    return rows


def pull(
    number: int, value: Tensor, reconstruction: Tensor, last_layer: Tensor | None, mask: Tensor | None = None
) -> Pull:
    """Return how strongly a value pulls.

    Args:
        number: Number of the image, from 0.
        value: Value of the loss, 0-d.
        reconstruction: Reconstruction (1, 3, H, W) that the loss was computed from.
        last_layer: Weights that it comes from; None for none.
        mask: (H, W) bool, which pixels lie inside regions.
    """
    places = [reconstruction] if last_layer is None else [reconstruction, last_layer]
    gradient, *last = gradients_at(value, *places)
    inside = math.nan if mask is None or not mask.any() else float(gradient[..., mask].square().mean().sqrt())
    norms = float(gradient.norm()), float(gradient.square().mean().sqrt())
    return Pull(number, float(value.detach()), *norms, inside, float(last[0].norm()) if last else math.nan)


def counts(regions: Regions) -> bool:
    """Whether a region that is valid is there."""
    return len(regions) > 0 and (regions.valid is None or bool(regions.valid.any()))


def as_data(row: Pulls) -> Mapping[str, object]:
    """Return a row as plain data for JSON; what was not measured is absent."""
    fields = {what: row.quartiles(what) for what in ("value", "norm", "rms", "inside", "last_layer")}
    return {
        "name": row.name,
        "group": row.group,
        **({"kind": row.kind, "weight": row.weight} if row.group == "term" else {}),
        "images": row.images,
        "counted": len(row.found),
        **{what: found._asdict() for what, found in fields.items() if not math.isnan(found.median)},
    }
