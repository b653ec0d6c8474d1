"""Hands for regionloss: detector, crops aligned by wrist and knuckles, and features."""
