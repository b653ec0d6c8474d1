"""Autoencoders of any make, as what is evaluated: images in, images out."""

from regionloss.autoencoders.base import Autoencoder, Output
from regionloss.autoencoders.open import open_autoencoder

__all__ = [
    "Autoencoder",
    "Output",
    "open_autoencoder",
]
