"""Tokenizers: images -> token ids -> images."""
