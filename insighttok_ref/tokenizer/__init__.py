"""The convolutional VQ tokenizer of InsightTok: encoder, EMA codebook, decoder."""
