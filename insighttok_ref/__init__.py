"""The reference build of InsightTok: tokenizer, objective, data, trainer and report, on top of regionloss."""
