"""How strongly terms pull at a reconstruction beside another loss, and the weights that make them equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from regionloss.checks import check_pair
from regionloss.errors import InputError, expected
from regionloss.losses.terms import LossTerms
from regionloss.regions.regions import Regions
from regionloss.schedules import LAST_STEP


def calibrate(
    terms: LossTerms,
    reconstruction: Tensor,
    target: Tensor,
    regions: Mapping[str, Regions] | Regions | None,
    beside: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Return for each term the weight at which it pulls as strongly as the rest of a loss, a row a term.

    Strength is the L2 norm of a loss's gradient at the reconstruction of an image, the median over the images in which
    the term has one; the reference is measured in the same images. `regionloss calibrate` does the same for files, with
    a tokenizer, and at its last layer.

    Args:
        terms: Terms to be weighed.
        reconstruction: (B, 3, H, W); what a model makes of the target, or a degraded copy of it.
        target: Images of the same shape; a few dozens tell more than a few.
        regions: Regions of the targets by kind, or those of one kind.
        beside: Rest of the loss: a function of reconstruction and target whose value, 0-d, is a mean over images; l1
            by default.

    Returns:
        Rows with `term`, `kind`, `weight` (that the term has, in the end), `images` (that count), `gradient` (at weight
        1), `reference`, and `proposed`, the weight; None where no image counts.

    Raises:
        InputError: Images that do not fit, or a function without a gradient.

    Example:
        >>> import torch, regionloss as rl
        >>> rl.calibrate(rl.LossTerms({}), torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), None)
        []
    """
    made = reconstruction.detach().clone().requires_grad_()
    target = target.detach()
    check_pair(made, target)
    with torch.enable_grad():
        rest = (made - target).abs().mean() if beside is None else beside(made, target)
        if not isinstance(rest, Tensor) or rest.ndim or not rest.requires_grad:
            got = type(rest).__name__ if not isinstance(rest, Tensor) else f"{tuple(rest.shape)}, of what it was given"
            raise InputError(expected("calibrate: beside", "a value, 0-d, with a gradient", got))
        reference = pulls(rest, made)
        by_term = terms(made, target, regions, LAST_STEP).by_term
        return [row(terms, name, pulls(value, made), reference) for name, value in by_term.items()]


def pulls(value: Tensor, made: Tensor) -> Tensor:
    """Return (B,) norms of the gradient of each image's own loss, where the value is their mean."""
    (gradient,) = torch.autograd.grad(value, made, retain_graph=True, allow_unused=True, materialize_grads=True)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return norms * len(made)


def row(terms: LossTerms, name: str, found: Tensor, reference: Tensor) -> dict[str, Any]:
    """Return a row of the table."""
    counts = found > 0
    term = terms.terms[name]
    strength, wanted = (float(one[counts].median()) if counts.any() else math.nan for one in (found, reference))
    known = math.isfinite(strength) and math.isfinite(wanted)
    return {
        "term": name,
        "kind": term.kind,
        "weight": term.weight_at(LAST_STEP),
        "images": int(counts.sum()),
        "gradient": strength if known else None,
        "reference": wanted if known else None,
        "proposed": wanted / strength if known else None,
    }
