"""The trainer of an autoencoder that is already there."""
