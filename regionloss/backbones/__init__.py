"""Backbones: crops -> feature maps."""

from regionloss.backbones.base import FeatureBackbone, Features
from regionloss.backbones.frozen import Frozen
from regionloss.backbones.input_spec import InputSpec, imagenet_spec
from regionloss.backbones.lpips import LPIPSAlex, LPIPSFeatures, LPIPSVgg, ShiftTolerantAlex, ShiftTolerantVgg
from regionloss.backbones.lpips_trunks import unit

__all__ = [
    "FeatureBackbone",
    "Features",
    "Frozen",
    "InputSpec",
    "LPIPSAlex",
    "LPIPSFeatures",
    "LPIPSVgg",
    "ShiftTolerantAlex",
    "ShiftTolerantVgg",
    "imagenet_spec",
    "unit",
]
