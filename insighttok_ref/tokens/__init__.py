"""Tokens on disk: the ids of images, with their captions, as a generator is trained on them."""
