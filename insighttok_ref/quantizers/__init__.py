"""Quantizers: latents -> codes."""
