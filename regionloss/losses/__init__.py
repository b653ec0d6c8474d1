"""Losses: the whole flow, and named terms with weights."""
