"""The trainer of tokenizers, in phases."""
