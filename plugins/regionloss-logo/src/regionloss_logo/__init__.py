"""Logos for regionloss."""
