"""How strongly each loss pulls: the way in which a recipe's term weights were found."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from insighttok_ref.objective.gradient import gradients_at
from insighttok_ref.objective.objective import Objective, with_absent
from insighttok_ref.trainers.tokenizer.loop import PartState
from regionloss.data.batches import Batch
from regionloss.losses import LAST_STEP


def gradient_norms(state: PartState, batches: Iterable[Batch]) -> dict[str, float]:
    """Return norms of gradients at the decoder's last layer, mean over batches.

    Keys: `objective` (pixels, perceptual loss and commitment, weighted), and each region term of the part by its name,
    before its weight. The weight at which a term pulls as strongly as the rest is their ratio (VQGAN's adaptive
    weight, taken once). Codes do not learn, and no gradient is left behind.
    """
    model, terms = state.model, state.objective.terms
    was_training = model.training
    model.eval()
    objective = Objective(state.objective.options, perceptual=state.objective.perceptual)
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        batch = batch.to(model.last_layer.device)
        images, regions = batch.images, batch.regions
        with state.autocast():
            output = model(images)
            output = output._replace(reconstruction=output.reconstruction.float())
            values = {"objective": objective(output, images, regions).total}
            if terms is not None:
                given = with_absent(regions, terms.kinds, images)
                values |= terms(output.reconstruction, images, given, LAST_STEP).by_term
        for name, value in values.items():
            found.setdefault(name, []).append(gradients_at(value, model.last_layer)[0].norm())
    model.train(was_training)
    return {name: float(torch.stack(norms).mean()) for name, norms in found.items()}


def equal_weights(norms: dict[str, float]) -> dict[str, float]:
    """Return by term the weight at which it pulls as strongly as the rest; infinite where it does not pull."""
    return {
        name: norms["objective"] / norm if norm else float("inf") for name, norm in norms.items() if name != "objective"
    }
