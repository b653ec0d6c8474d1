"""The generator: a caption -> the ids of a tokenizer, written by a language model -> an image."""
