"""Backbones: crops -> feature maps."""

from regionloss.backbones.base import FeatureBackbone, Features
from regionloss.backbones.frozen import Frozen
from regionloss.backbones.input_spec import InputSpec, imagenet_spec

__all__ = ["FeatureBackbone", "Features", "Frozen", "InputSpec", "imagenet_spec"]
