"""ONNX networks in torch: read without the package onnx, differentiable, on any device."""

from regionloss.backbones.onnx.backbone import OnnxBackbone
from regionloss.backbones.onnx.network import OnnxNetwork, read_onnx

__all__ = ["OnnxBackbone", "OnnxNetwork", "read_onnx"]
