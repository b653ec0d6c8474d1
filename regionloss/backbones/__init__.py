"""Backbones: crops -> feature maps."""

from .base import FeatureBackbone, Features
from .frozen import Frozen
from .input_spec import InputSpec, imagenet_spec

__all__ = ["FeatureBackbone", "Features", "Frozen", "InputSpec", "imagenet_spec"]
