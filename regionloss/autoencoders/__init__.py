"""Autoencoders of any make: images in, images out, as what is evaluated and as what is trained."""

from regionloss.autoencoders.base import PARTS, Autoencoder, Encoded, HeldLatents, Output, TrainableAutoencoder
from regionloss.autoencoders.lora import add_lora, merged
from regionloss.autoencoders.memory import StepMemory, step_memory
from regionloss.autoencoders.open import open_autoencoder, open_trainable

__all__ = [
    "PARTS",
    "Autoencoder",
    "Encoded",
    "HeldLatents",
    "Output",
    "StepMemory",
    "TrainableAutoencoder",
    "add_lora",
    "merged",
    "open_autoencoder",
    "open_trainable",
    "step_memory",
]
