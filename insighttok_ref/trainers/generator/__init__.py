"""The trainer of a generator: captions and the tokens of images in, a model that writes tokens out."""
