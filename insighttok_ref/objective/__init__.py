"""What a tokenizer is trained on: one total, every part of it by name."""
