"""Autoencoders of any make: images in, images out, as what is evaluated and as what is trained."""

from regionloss.autoencoders.base import PARTS, Autoencoder, Encoded, HeldLatents, Output, TrainableAutoencoder
from regionloss.autoencoders.ledger import StepLedger
from regionloss.autoencoders.lora import add_lora, merged
from regionloss.autoencoders.memory import StepMemory, of_no_memory, size_of, step_memory
from regionloss.autoencoders.open import open_autoencoder, open_trainable

__all__ = [
    "PARTS",
    "Autoencoder",
    "Encoded",
    "HeldLatents",
    "Output",
    "StepLedger",
    "StepMemory",
    "TrainableAutoencoder",
    "add_lora",
    "merged",
    "of_no_memory",
    "open_autoencoder",
    "open_trainable",
    "size_of",
    "step_memory",
]
