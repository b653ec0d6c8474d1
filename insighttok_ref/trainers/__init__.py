"""Trainers that recipes name."""
