"""What tuning an autoencoder needs: the step of `tokenizer/needs.py`, on the autoencoder that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from insighttok_ref.trainers.finetune.session import check_size, choose, read_source
from insighttok_ref.trainers.finetune.trainee import Tuned
from insighttok_ref.trainers.tokenizer.needs import Ghost, autoencoder_needs, keypoints_of, terms_of
from insighttok_ref.trainers.tokenizer.plan import plan
from regionloss.autoencoders import TrainableAutoencoder, add_lora, of_no_memory
from regionloss.errors import InputError, expected, reason_of
from regionloss.recipe import Loaded, Recipe, TrainingNeeds

if TYPE_CHECKING:
    from insighttok_ref.trainers.finetune.trainer import Finetune


def needs(trainer: Finetune, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
    """Return what tuning on so many GPUs needs."""
    autoencoder = opened(trainer, loaded)
    terms, notes = terms_of(loaded)
    (part,) = plan(trainer.phases, loaded.recipe.terms, loaded.recipe.seed)
    side, keypoints = trainer.data.image_size, keypoints_of(loaded)
    ghost = Ghost(part, Tuned(autoencoder), trainer.objective, terms, side, keypoints)
    averaged = trainer.weight_average > 0
    try:
        return autoencoder_needs([ghost], trainer.engine, trainer.optimizer, gpus, averaged, notes)
    except (RuntimeError, NotImplementedError) as error:  # of torch, for a layer that reads values
        wanted, advice = "layers that have a shape without values", "Its training can be tried all the same."
        raise InputError(
            expected(str(trainer.source), wanted, f"one that has not ({reason_of(error)})", advice)
        ) from error


def opened(trainer: Finetune, loaded: Loaded[Recipe]) -> TrainableAutoencoder:
    """Return the autoencoder with the parts that learn, without memory."""
    options, device = trainer.model, torch.device("cpu")
    autoencoder = read_source(trainer, device, loaded.catalogue)
    check_size(autoencoder, trainer.data.image_size)
    if (lora := options.low_rank) is not None:
        add_lora(autoencoder, options.train, lora.rank, lora.alpha)
    found = of_no_memory(autoencoder)
    choose(found, trainer)
    found.set_checkpointing(options.checkpointing)
    return found
