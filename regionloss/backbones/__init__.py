"""Backbones: crops -> feature maps."""

from regionloss.backbones.base import FeatureBackbone, Features
from regionloss.backbones.frozen import Frozen
from regionloss.backbones.input_spec import InputSpec, imagenet_spec
from regionloss.backbones.lpips import LPIPSAlex, LPIPSFeatures, LPIPSVgg, ShiftTolerantAlex, ShiftTolerantVgg
from regionloss.backbones.lpips_trunks import unit
from regionloss.backbones.onnx.network import OnnxNetwork, read_onnx

__all__ = [
    "FeatureBackbone",
    "Features",
    "Frozen",
    "InputSpec",
    "LPIPSAlex",
    "LPIPSFeatures",
    "LPIPSVgg",
    "OnnxNetwork",
    "ShiftTolerantAlex",
    "ShiftTolerantVgg",
    "imagenet_spec",
    "read_onnx",
    "unit",
]
