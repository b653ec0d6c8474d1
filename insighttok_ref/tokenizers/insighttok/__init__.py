"""InsightTok, the published VQGAN tokenizer."""
