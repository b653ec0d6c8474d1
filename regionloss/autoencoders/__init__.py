"""Autoencoders of any make: images in, images out, as what is evaluated and as what is trained."""

from regionloss.autoencoders.base import PARTS, Autoencoder, Encoded, Output, TrainableAutoencoder
from regionloss.autoencoders.open import open_autoencoder, open_trainable

__all__ = [
    "PARTS",
    "Autoencoder",
    "Encoded",
    "Output",
    "TrainableAutoencoder",
    "open_autoencoder",
    "open_trainable",
]
