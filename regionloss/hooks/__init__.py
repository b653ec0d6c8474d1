"""Hooks: how detectors, extractors, backbones, weightings and everything else is registered."""

from regionloss.hooks.specs import hookimpl, hookspec

__all__ = ["hookimpl", "hookspec"]
