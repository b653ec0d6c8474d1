"""How strongly each loss pulls: the way in which a recipe's term weights were found."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import torch

from insighttok_ref.objective.gradient import gradients_at
from insighttok_ref.objective.objective import Objective, with_absent
from insighttok_ref.trainers.tokenizer.loop import PartState
from regionloss.data.batches import Batch
from regionloss.losses import LAST_STEP


def gradient_norms(state: PartState, batches: Iterable[Batch]) -> dict[str, float]:
    """Return the `norms_of` batches, mean over them.

    The weight at which a term pulls as strongly as the rest is their ratio (VQGAN's adaptive weight, taken once).
    """
    found: dict[str, list[float]] = {}
    for batch in batches:
        for name, norm in norms_of(state, batch).items():
            found.setdefault(name, []).append(norm)
    return {name: fmean(norms) for name, norms in found.items()}


def norms_of(state: PartState, batch: Batch) -> dict[str, float]:
    """Return norms of gradients at the decoder's last layer.

    Keys: `objective` (pixels, perceptual loss and commitment, weighted), and each region term of the part by its name,
    before its weight. Codes do not learn, and no gradient is left behind.
    """
    model, terms = state.model, state.objective.terms
    was_training = model.training
    model.eval()
    objective = Objective(state.objective.options, perceptual=state.objective.perceptual)
    batch = batch.to(model.last_layer.device)
    images, regions = batch.images, batch.regions
    with state.eager(), state.autocast():
        output = model(images)
        output = output._replace(reconstruction=output.reconstruction.float())
        values = {"objective": objective(output, images, regions).total}
        if terms is not None:
            given = with_absent(regions, terms.kinds, images)
            values |= terms(output.reconstruction, images, given, LAST_STEP).by_term
    norms = [gradients_at(value, model.last_layer)[0].norm() for value in values.values()]
    model.train(was_training)
    return dict(zip(values, torch.stack(norms).tolist(), strict=True))


def weights_from_norms(norms: dict[str, float]) -> dict[str, float]:
    """Return by term the weight at which it pulls as strongly as the rest; infinite where it does not pull."""
    return {
        name: norms["objective"] / norm if norm else float("inf") for name, norm in norms.items() if name != "objective"
    }
